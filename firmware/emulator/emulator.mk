# The emulated chip as a library for Python: libsimavr behind chip.c. Its headers are those of the
# package libsimavr-dev, installed, or only unpacked, since that package brings a desktop along:
#   apt-get download libsimavr-dev && dpkg -x libsimavr-dev_*.deb firmware/build/simavr

SIMAVR_HEADERS := $(firstword $(wildcard /usr/include/simavr) build/simavr/usr/include/simavr)
EMULATOR_FILES := emulator/chip.c emulator/recorder.c $(CORE_FILES)

.PHONY: emulator
emulator: build/emulator/libchip.so ## the emulated chip, for tests and massager-simulator

build/emulator/libchip.so: $(EMULATOR_FILES) $(wildcard emulator/*.h core/*.h)
	@mkdir -p $(@D)
	@$(CC) -std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -fPIC -fvisibility=default \
	  -shared -Icore -Iemulator -isystem $(SIMAVR_HEADERS) -o $@ $(EMULATOR_FILES) -l:libsimavr.so.2
