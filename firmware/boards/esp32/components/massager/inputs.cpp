#include "inputs.h"

#include <cmath>

namespace esphome::foot_massager {

namespace {
constexpr float NOMINAL_OHM = 10000.0f;
constexpr float NOMINAL_K = 298.15f;
constexpr float ZERO_C_IN_K = 273.15f;
constexpr uint16_t NO_CURRENT_MA = 65535;
}  // namespace

int16_t temperature_dc(const Thermistor &thermistor, const Conversion &conversion) {
  const bool at_an_end = conversion.raw <= CONVERTER_MARGIN ||
                         conversion.raw >= CONVERTER_MAX - CONVERTER_MARGIN;
  if (at_an_end || conversion.millivolts == 0 || conversion.millivolts >= thermistor.supply_mv)
    return NO_TEMPERATURE_DC;
  const float millivolts = conversion.millivolts;
  const float ohm = static_cast<float>(thermistor.series_ohm) * millivolts /
                    (static_cast<float>(thermistor.supply_mv) - millivolts);
  const float inverse = 1.0f / NOMINAL_K +
                        std::log(ohm / NOMINAL_OHM) / static_cast<float>(thermistor.b_constant);
  const float dc = (1.0f / inverse - ZERO_C_IN_K) * 10.0f;
  return static_cast<int16_t>(std::lround(std::fmin(std::fmax(dc, -400.0f), 2000.0f)));
}

uint16_t current_ma(uint16_t millivolts, uint16_t millivolts_per_ampere) {
  const uint32_t ma = static_cast<uint32_t>(millivolts) * 1000u / millivolts_per_ampere;
  return static_cast<uint16_t>(ma < NO_CURRENT_MA ? ma : NO_CURRENT_MA - 1u);
}

uint32_t duty_of(uint16_t permille, uint32_t steps) {
  const uint32_t duty = (static_cast<uint32_t>(permille) * steps + 500u) / 1000u;
  return permille > 0 && duty == 0 ? 1 : duty;
}

int32_t Mean::add(int32_t reading) {
  this->readings_[this->next_] = reading;
  this->next_ = static_cast<uint8_t>((this->next_ + 1u) % MEAN_OF);
  if (this->count_ < MEAN_OF)
    this->count_++;
  int32_t sum = 0;
  for (uint8_t i = 0; i < this->count_; i++)
    sum += this->readings_[i];
  return sum / this->count_;
}

void Motion::look(bool level) {
  if (this->has_level_ && level != this->level_) {
    this->still_ms_ = 0;
  } else if (this->still_ms_ < MOTION_WINDOW_MS) {
    this->still_ms_++;
  }
  this->has_level_ = true;
  this->level_ = level;
}

}  // namespace esphome::foot_massager
