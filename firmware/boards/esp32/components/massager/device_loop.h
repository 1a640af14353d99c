/* One pass of the task that owns the core: how much time has passed, what the inputs read, which
 * frames came, what the motor gets, and whether the watchdog may be fed. Plain C++; the chip is
 * behind `Board`, which the tests replace. Only the task that calls pass() may call anything here,
 * except take_out_of_service(). */
#pragma once

#include <atomic>
#include <cstdint>

#include "inputs.h"
#include "link.h"
#include "massager_core/massager.h"

namespace esphome::foot_massager {

constexpr uint32_t STOOD_STILL_MS = 500;  /* longer: the device goes on as after a reset (9.15) */
constexpr uint32_t CONVERT_EVERY_MS = 10;
constexpr uint8_t FRAMES_PER_PASS = 16;   /* so that a flood of messages cannot hold up the steps */

/* What this file needs of the chip. Nothing here may wait. */
class Board {
 public:
  virtual uint64_t now_us() = 0;                           /* since boot; never goes back */
  virtual void set_motor(uint16_t permille) = 0;           /* 0 = the pin is low */
  virtual bool send(const uint8_t *frame, uint8_t size) = 0; /* false: no room, nothing was sent */
  virtual bool next_frame(Frame *frame) = 0;               /* false: there is none */
  virtual bool feet_are_on() = 0;
  virtual bool button_is_pressed() = 0;
  virtual bool motion_level() = 0;
  virtual Conversion convert_temperature() = 0;
  virtual uint16_t convert_current_mv() = 0;
  virtual void feed_watchdog() = 0;
  virtual void stop_watchdog() = 0;
  virtual void restart() = 0; /* reset the chip */

 protected:
  ~Board() = default;
};

/* How the inputs are wired. */
struct Wiring {
  Thermistor thermistor;
  uint16_t millivolts_per_ampere = 1000;
};

class DeviceLoop {
 public:
  DeviceLoop(Board &board, const massager_config &config, const Wiring &wiring)
      : board_(board), config_(config), wiring_(wiring) {}
  DeviceLoop(const DeviceLoop &) = delete;
  DeviceLoop &operator=(const DeviceLoop &) = delete;

  /* Once, before the first pass. The output is 0 from here on. */
  void boot(uint16_t boot_id, uint8_t reset_cause);

  /* Everything that is due; about once a millisecond, and sooner where a frame came. */
  void pass();

  /* From any task: with the next pass the motor is off for good, the watchdog is stopped and no
   * command is answered any more, until the chip is reset. For updates and restarts. */
  void take_out_of_service() { this->leaving_.store(true); }

  bool is_out_of_service() const { return this->is_out_.load(); }
  const massager_now &now() const { return this->device_.now; }

 private:
  static void drive(void *context, uint16_t permille);
  static bool send(void *context, const uint8_t *frame, uint8_t size);
  bool has(uint16_t capability) const { return (this->config_.capabilities & capability) != 0; }
  void read_inputs_(uint32_t due_ms);
  void convert_();
  void apply_motor_();

  static const massager_io IO;

  Board &board_;
  const massager_config config_;
  const Wiring wiring_;
  massager device_{};

  uint64_t begin_us_ = 0;
  uint64_t stepped_ms_ = 0;
  uint32_t unconverted_ms_ = CONVERT_EVERY_MS;
  uint16_t wanted_ = 0; /* ‰, by the core */
  uint16_t motor_ = 0;  /* ‰, at the pin */
  massager_readings readings_{};
  Mean temperature_;
  Mean current_;
  Motion motion_;
  std::atomic<bool> leaving_{false};
  std::atomic<bool> is_out_{false};
};

/* 1…65,535; the one after 65,535 is 1, and so is the first (4.7). */
uint16_t next_boot_id(uint16_t last);

}  // namespace esphome::foot_massager
