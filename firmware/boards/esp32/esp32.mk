# What can be checked of the ESP32 without its compiler: the plain C++ around the core as a library
# for the tests, and ESPHome in an environment of its own.
#
#   make -C firmware esp32      build/esp32/libdevice.so
#   make -C firmware esphome    build/esphome-venv, from the package index

HOST_CXX ?= $(if $(filter default,$(origin CXX)),c++,$(CXX))
PYTHON ?= python3

ESP32 := boards/esp32
ESP32_BUILD := build/esp32
ESP32_PARTS := link inputs device_loop
ESP32_HARNESS ?= ../tests/firmware/esp32/harness.cpp
ESP32_CPP := $(ESP32_PARTS:%=$(ESP32)/components/massager/%.cpp) $(ESP32_HARNESS)
ESP32_H := $(ESP32_PARTS:%=$(ESP32)/components/massager/%.h)
ESP32_CORE_C := $(wildcard core/*.c)
ESP32_CORE := $(ESP32_CORE_C:core/%.c=$(ESP32_BUILD)/core/%.o)
ESP32_WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Werror
ESP32_FLAGS := -g -O1 -fPIC -fsanitize=undefined -fsanitize-undefined-trap-on-error

.PHONY: esp32 esphome

esp32: $(ESP32_BUILD)/libdevice.so

esphome: build/esphome-venv/.ready

# The core's headers under the name that they have in ESPHome's build.
$(ESP32_BUILD)/include/massager_core: $(wildcard core/*.h) $(ESP32)/esp32.mk
	@rm -rf $@ && mkdir -p $@
	@cp core/*.h $@

$(ESP32_BUILD)/core/%.o: core/%.c $(wildcard core/*.h) $(ESP32)/esp32.mk
	@mkdir -p $(@D)
	$(if $(HOST_CC),$(HOST_CC),cc) -std=c11 $(ESP32_FLAGS) -c $< -o $@

$(ESP32_BUILD)/libdevice.so: $(ESP32_CPP) $(ESP32_H) $(ESP32_CORE) $(ESP32_BUILD)/include/massager_core
	$(HOST_CXX) -std=c++20 $(ESP32_WARNINGS) $(ESP32_FLAGS) -shared -I$(ESP32)/components/massager \
	  -I$(ESP32_BUILD)/include -o $@ $(ESP32_CPP) $(ESP32_CORE)

build/esphome-venv/.ready: $(ESP32)/requirements.txt
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --retries 2 -r $<
	@touch $@
