#include "device_loop.h"

namespace esphome::foot_massager {

const massager_io DeviceLoop::IO = {DeviceLoop::drive, DeviceLoop::send, nullptr};

uint16_t next_boot_id(uint16_t last) {
  return last == UINT16_MAX ? 1 : static_cast<uint16_t>(last + 1u);
}

void DeviceLoop::drive(void *context, uint16_t permille) {
  static_cast<DeviceLoop *>(context)->wanted_ = permille;
}

bool DeviceLoop::send(void *context, const uint8_t *frame, uint8_t size) {
  return static_cast<DeviceLoop *>(context)->board_.send(frame, size);
}

void DeviceLoop::boot(uint16_t boot_id, uint8_t reset_cause) {
  this->begin_us_ = this->board_.now_us();
  this->stepped_ms_ = 0;
  massager_boot(&this->device_, &this->config_, &IO, this, boot_id, reset_cause);
  this->motor_ = this->wanted_;
  this->board_.set_motor(this->motor_);
}

void DeviceLoop::pass() {
  if (this->is_out_.load())
    return;
  if (this->leaving_.load()) {
    this->board_.set_motor(0);
    this->board_.stop_watchdog();
    this->is_out_.store(true);
    return;
  }
  const uint64_t now_ms = (this->board_.now_us() - this->begin_us_) / 1000u;
  const uint64_t due_ms = now_ms - this->stepped_ms_;
  if (due_ms > STOOD_STILL_MS) {
    this->board_.set_motor(0);
    this->is_out_.store(true); /* with the watchdog still on, should the restart hang */
    this->board_.restart();
    return;
  }

  if (due_ms > 0)
    this->read_inputs_(static_cast<uint32_t>(due_ms));
  for (; this->stepped_ms_ < now_ms; this->stepped_ms_++) {
    massager_sense(&this->device_, &this->readings_); /* after a pause, too, they are new */
    massager_step(&this->device_);
  }

  Frame frame;
  for (uint8_t i = 0; i < FRAMES_PER_PASS && this->board_.next_frame(&frame); i++)
    massager_datagram(&this->device_, frame.bytes, frame.size);

  this->apply_motor_();
  if (due_ms > 0)
    this->board_.feed_watchdog();
}

void DeviceLoop::read_inputs_(uint32_t due_ms) {
  if (this->has(MASSAGER_CAPABILITY_FEET_SENSOR))
    massager_feet(&this->device_, this->board_.feet_are_on());
  if (this->has(MASSAGER_CAPABILITY_BUTTON) && this->board_.button_is_pressed())
    massager_button(&this->device_);
  if (this->has(MASSAGER_CAPABILITY_MOTION)) {
    this->motion_.look(this->board_.motion_level());
    this->readings_.is_moving = this->motion_.is_moving();
  }
  this->unconverted_ms_ += due_ms;
  if (this->unconverted_ms_ >= CONVERT_EVERY_MS) {
    this->unconverted_ms_ = 0;
    this->convert_();
  }
}

void DeviceLoop::convert_() {
  if (this->has(MASSAGER_CAPABILITY_TEMPERATURE)) {
    const Conversion conversion = this->board_.convert_temperature();
    const int32_t dc = temperature_dc(this->wiring_.thermistor, conversion);
    this->readings_.temperature_dc = static_cast<int16_t>(this->temperature_.add(dc));
  }
  if (this->has(MASSAGER_CAPABILITY_CURRENT)) {
    const uint16_t millivolts = this->board_.convert_current_mv();
    const uint16_t ma = current_ma(millivolts, this->wiring_.millivolts_per_ampere);
    this->readings_.current_ma = static_cast<uint16_t>(this->current_.add(ma));
  }
}

/* Once a pass and not at each call of the core: while it catches up on a pause it goes through many
 * levels at once, and the timer of the ESP32 takes a new one only once in a period. */
void DeviceLoop::apply_motor_() {
  if (this->wanted_ == this->motor_)
    return;
  this->motor_ = this->wanted_;
  this->board_.set_motor(this->motor_);
}

}  // namespace esphome::foot_massager
