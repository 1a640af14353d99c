/* From what the pins and the converter read to what the core is told. Plain C++, no I/O. */
#pragma once

#include <cstdint>

namespace esphome::foot_massager {

constexpr uint16_t CONVERTER_MAX = 4095;       /* 12 bits */
constexpr uint16_t CONVERTER_MARGIN = 16;      /* steps from either end that count as the end */
constexpr uint32_t MOTION_WINDOW_MS = 50;      /* a change within it: the motor turns */
constexpr uint8_t MEAN_OF = 5;                 /* readings, 10 ms apart: the core wants some 50 ms */
constexpr int16_t NO_TEMPERATURE_DC = -2730;   /* below every limit: a broken sensor */

/* What one conversion gave. */
struct Conversion {
  uint16_t raw;        /* 0…CONVERTER_MAX */
  uint16_t millivolts; /* at the pin, by the chip's own calibration */
};

/* A thermistor of 10 kΩ at 25 °C to ground, a fixed resistor to the supply. */
struct Thermistor {
  uint32_t series_ohm = 10000;
  uint32_t b_constant = 3950; /* K */
  uint32_t supply_mv = 3300;
};

/* 0.1 °C, −40…200 °C. NO_TEMPERATURE_DC where the converter stands at one of its ends: a broken or a
 * short-circuited wire. The raw value tells that, not the voltage, since the converters of some
 * chips end well below their supply. */
int16_t temperature_dc(const Thermistor &thermistor, const Conversion &conversion);

/* mA at the motor; at most 65,534, since 65,535 means not measured. */
uint16_t current_ma(uint16_t millivolts, uint16_t millivolts_per_ampere);

/* Steps of the timer for a level of 0…1000 ‰, rounded; 0 only for 0 ‰. */
uint32_t duty_of(uint16_t permille, uint32_t steps);

/* The mean of the newest MEAN_OF readings, or of those there are. */
class Mean {
 public:
  int32_t add(int32_t reading);

 private:
  int32_t readings_[MEAN_OF] = {};
  uint8_t count_ = 0;
  uint8_t next_ = 0;
};

/* A pulse sensor is looked at once a millisecond; time in which nobody could look does not count,
 * so that a pause of the processor is no stalled motor. */
class Motion {
 public:
  void look(bool level);
  bool is_moving() const { return this->still_ms_ < MOTION_WINDOW_MS; }

 private:
  uint32_t still_ms_ = MOTION_WINDOW_MS;
  bool has_level_ = false;
  bool level_ = false;
};

}  // namespace esphome::foot_massager
