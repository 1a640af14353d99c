# The core for this computer: a library for the tests and the simulator, the same with sanitizers,
# a program that replays scripts under sanitizers, and the libFuzzer target over the same scripts.
#
#   make -C firmware host           build/host/libmassager.so
#   make -C firmware fuzz           build/host/fuzz_receive for FUZZ_SECONDS=600 (needs clang)

HOST_CC ?= $(if $(filter default,$(origin CC)),cc,$(CC))
CLANG ?= $(firstword $(foreach name,clang $(addprefix clang-,$(shell seq 30 -1 12)),$(shell command -v $(name) 2>/dev/null)))

HOST_BUILD := build/host
CORE_C := $(wildcard core/*.c)
HOST_C := $(CORE_C) emulator/recorder.c boards/host/host.c
SCRIPT_C := $(CORE_C) boards/host/script.c
HOST_H := $(wildcard core/*.h boards/host/*.h) emulator/recorder.h
HOST_WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
HOST_FLAGS := -std=c11 -g $(HOST_WARNINGS) -Icore -Iemulator
# gcc warns of the conversions that its own sanitizers insert; the plain build has that warning.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
  -Wno-sign-conversion
# A library finds its sanitizer where Python was started with it; only clang has to be asked for that.
SHARED_SANITIZER := $(if $(findstring clang,$(shell $(HOST_CC) --version 2>/dev/null)),-shared-libasan)

FUZZ_SECONDS ?= 600

.PHONY: host fuzz

host: $(HOST_BUILD)/libmassager.so ## the core as a library for this computer

fuzz: $(HOST_BUILD)/fuzz_receive ## libFuzzer on the core: FUZZ_SECONDS=600; what it learns stays in build/fuzz
	@mkdir -p build/fuzz
	@$< -max_total_time=$(FUZZ_SECONDS) -len_control=0 -max_len=512 -timeout=20 -print_final_stats=1 \
	  -artifact_prefix=build/fuzz- build/fuzz

$(HOST_BUILD)/libmassager.so: $(HOST_C) $(HOST_H) boards/host/host.mk
	@mkdir -p $(@D)
	@$(HOST_CC) $(HOST_FLAGS) -O2 -fPIC -shared -o $@ $(HOST_C)

$(HOST_BUILD)/libmassager-sanitized.so: $(HOST_C) $(HOST_H) boards/host/host.mk
	@mkdir -p $(@D)
	@$(HOST_CC) $(HOST_FLAGS) -O1 $(SANITIZERS) $(SHARED_SANITIZER) -fPIC -shared -o $@ $(HOST_C)

$(HOST_BUILD)/replay_sanitized: $(SCRIPT_C) boards/host/replay.c $(HOST_H) boards/host/host.mk
	@mkdir -p $(@D)
	@$(HOST_CC) $(HOST_FLAGS) -O1 $(SANITIZERS) -o $@ $(SCRIPT_C) boards/host/replay.c

# libFuzzer looks at the core alone; to follow the judge as well would only make it slow.
FUZZ_CORE := $(CORE_C:core/%.c=$(HOST_BUILD)/fuzz-%.o)
FUZZ_JUDGE := $(HOST_BUILD)/judge-script.o $(HOST_BUILD)/judge-fuzz_receive.o
FUZZ_COMPILE = $(if $(CLANG),$(CLANG),$(error clang is missing; on Debian: apt-get install clang \
  libclang-rt-dev)) $(HOST_FLAGS) -O2 $(SANITIZERS)

$(FUZZ_CORE): $(HOST_BUILD)/fuzz-%.o: core/%.c $(HOST_H) boards/host/host.mk
	@mkdir -p $(@D)
	@$(FUZZ_COMPILE) -fsanitize=fuzzer-no-link -c -o $@ $<

$(FUZZ_JUDGE): $(HOST_BUILD)/judge-%.o: boards/host/%.c $(HOST_H) boards/host/host.mk
	@mkdir -p $(@D)
	@$(FUZZ_COMPILE) -c -o $@ $<

$(HOST_BUILD)/fuzz_receive: $(FUZZ_CORE) $(FUZZ_JUDGE)
	@$(FUZZ_COMPILE) -fsanitize=fuzzer -o $@ $^
