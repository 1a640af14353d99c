/* The plain C++ of boards/esp32 on a board that a test plays: time, pins, converter and broker. */
#include <cstdio>
#include <cstring>
#include <deque>
#include <vector>

#include "device_loop.h"

using namespace esphome::foot_massager;

namespace {

struct TestBoard final : public Board {
  uint64_t clock_us = 0;
  uint16_t motor = UINT16_MAX;
  bool has_room = false; /* no connection yet */
  bool feet = true;
  bool button = false;
  bool motion = false;
  Conversion temperature{2000, 1650};
  uint16_t current_mv = 200;
  uint32_t feeds = 0;
  bool watchdog_is_on = true;
  uint32_t restarts = 0;
  uint32_t motor_writes = 0;
  std::deque<Frame> down;
  std::vector<Frame> up;

  uint64_t now_us() override { return this->clock_us; }
  void set_motor(uint16_t permille) override { this->motor = permille, this->motor_writes++; }
  bool feet_are_on() override { return this->feet; }
  bool button_is_pressed() override { return this->button; }
  bool motion_level() override { return this->motion; }
  Conversion convert_temperature() override { return this->temperature; }
  uint16_t convert_current_mv() override { return this->current_mv; }
  void feed_watchdog() override { this->feeds++; }
  void stop_watchdog() override { this->watchdog_is_on = false; }
  void restart() override { this->restarts++; }

  bool send(const uint8_t *bytes, uint8_t size) override {
    if (!this->has_room)
      return false;
    Frame frame{};
    frame.size = size;
    memcpy(frame.bytes, bytes, size);
    this->up.push_back(frame);
    return true;
  }

  bool next_frame(Frame *frame) override {
    if (this->down.empty())
      return false;
    *frame = this->down.front();
    this->down.pop_front();
    return true;
  }
};

massager_config config_of(uint16_t capabilities) {
  massager_config config{};
  memcpy(config.device_id, "foot-001", sizeof(config.device_id));
  config.model = 1;
  config.gentlest_permille = 150;
  config.max_permille = 1000;
  config.steps = 1024;
  config.capabilities = capabilities;
  config.hot_dc = 700;
  config.sensor_low_dc = -200;
  config.sensor_high_dc = 1200;
  config.over_current_ma = 1800;
  config.spin_down_ms = 500;
  return config;
}

struct Device {
  TestBoard board;
  Topics topics;
  DeviceLoop loop;
  explicit Device(uint16_t capabilities)
      : topics(topics_of("foot-001")), loop(board, config_of(capabilities), Wiring{}) {}
};

}  // namespace

extern "C" {

Device *device_new(uint16_t capabilities, uint16_t boot_id, uint8_t reset_cause) {
  auto *device = new Device(capabilities);
  device->loop.boot(boot_id, reset_cause);
  return device;
}

void device_free(Device *device) { delete device; }

/* Whole passes, one every `each_us`. */
void device_run(Device *device, uint32_t passes, uint32_t each_us) {
  for (uint32_t i = 0; i < passes; i++) {
    device->board.clock_us += each_us;
    device->loop.pass();
  }
}

/* A message as the client tells it; true where it goes on to the core. */
bool device_message(Device *device, const char *topic, const char *data, uint32_t size,
                    uint32_t total, uint32_t offset, bool is_retained) {
  Frame frame;
  const Message message = {topic, topic ? strlen(topic) : 0, data, size, total, offset, is_retained};
  if (!take(message, device->topics, &frame))
    return false;
  device->board.down.push_back(frame);
  return true;
}

/* The oldest frame that was sent and not fetched; 0 where there is none. */
uint8_t device_sent(Device *device, uint8_t *bytes) {
  if (device->board.up.empty())
    return 0;
  const Frame frame = device->board.up.front();
  device->board.up.erase(device->board.up.begin());
  memcpy(bytes, frame.bytes, frame.size);
  return frame.size;
}

void device_set(Device *device, bool has_room, bool feet, bool button, bool motion) {
  device->board.has_room = has_room;
  device->board.feet = feet;
  device->board.button = button;
  device->board.motion = motion;
}

void device_convert(Device *device, uint16_t raw, uint16_t millivolts, uint16_t current_mv) {
  device->board.temperature = {raw, millivolts};
  device->board.current_mv = current_mv;
}

uint16_t device_motor(const Device *device) { return device->board.motor; }
uint32_t device_motor_writes(const Device *device) { return device->board.motor_writes; }
uint32_t device_feeds(const Device *device) { return device->board.feeds; }
uint32_t device_restarts(const Device *device) { return device->board.restarts; }
bool device_watchdog_is_on(const Device *device) { return device->board.watchdog_is_on; }
uint32_t device_waiting(const Device *device) {
  return static_cast<uint32_t>(device->board.down.size());
}
uint32_t device_uptime_ms(const Device *device) { return device->loop.now().uptime_ms; }
uint16_t device_lease_left_ms(const Device *device) { return device->loop.now().lease_left_ms; }
uint16_t device_bad_frames(const Device *device) { return device->loop.now().bad_frames; }
uint16_t device_faults(const Device *device) { return device->loop.now().faults; }
void device_leave(Device *device) { device->loop.take_out_of_service(); }
bool device_is_out(const Device *device) { return device->loop.is_out_of_service(); }

uint16_t seam_next_boot_id(uint16_t last) { return next_boot_id(last); }
uint32_t seam_duty_of(uint16_t permille, uint32_t steps) { return duty_of(permille, steps); }
uint16_t seam_current_ma(uint16_t millivolts, uint16_t per_ampere) {
  return current_ma(millivolts, per_ampere);
}
int16_t seam_temperature_dc(uint32_t series_ohm, uint16_t raw, uint16_t millivolts) {
  Thermistor thermistor;
  thermistor.series_ohm = series_ohm;
  return temperature_dc(thermistor, Conversion{raw, millivolts});
}

/* "down\nup" of a device id. */
void seam_topics(const char *device_id, char *text, uint32_t size) {
  const Topics topics = topics_of(device_id);
  snprintf(text, size, "%s\n%s", topics.down, topics.up);
}

}  // extern "C"
