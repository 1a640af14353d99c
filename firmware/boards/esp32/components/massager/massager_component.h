/* The device on an ESP32: the thin layer between device_loop.h and ESP-IDF, as a component of
 * ESPHome. Three tasks meet here:
 *
 *     the core's task   owns the core, the motor's pin, the inputs and the watchdog; 1 ms
 *     the sending task  takes frames from a queue and publishes them; may wait for the network
 *     the client's own  (esp-mqtt) puts messages into a queue
 *
 * Nothing else reaches the core, and the core's task waits for nothing but the next millisecond. */
#pragma once

#ifdef USE_ESP32

#include <atomic>
#include <string>

#include <esp_adc/adc_cali.h>
#include <esp_adc/adc_oneshot.h>
#include <freertos/FreeRTOS.h>
#include <freertos/queue.h>
#include <freertos/task.h>
#include <hal/wdt_hal.h>
#include <mqtt_client.h>

#include "device_loop.h"
#include "esphome/core/component.h"
#include "esphome/core/defines.h"
#ifdef USE_OTA_STATE_LISTENER
#include "esphome/components/ota/ota_backend.h"
#endif

namespace esphome::foot_massager {

/* An input of the converter, with the chip's own calibration. */
struct ConverterPin {
  int pin = -1;
  adc_channel_t channel{};
  adc_cali_handle_t calibration = nullptr;
};

class MassagerComponent final : public Component,
#ifdef USE_OTA_STATE_LISTENER
                                public ota::OTAGlobalStateListener,
#endif
                                private Board {
 public:
  void set_device_id(const char *device_id);
  void set_model(uint16_t model) { this->config_.model = model; }
  void set_levels(uint16_t gentlest_permille, uint16_t max_permille);
  void set_motor_pin(int pin, uint32_t frequency_hz, uint16_t spin_down_ms);
  void set_broker(const char *host, uint16_t port) { this->host_ = host, this->port_ = port; }
  void set_login(const char *username, const char *password);
  void set_ca_certificate(const char *pem) { this->ca_certificate_ = pem; }
  void set_keepalive(uint16_t seconds) { this->keepalive_s_ = seconds; }
  void set_feet(int pin);
  void set_button(int pin);
  void set_motion(int pin);
  void set_temperature(int pin, uint32_t series_ohm, uint32_t b_constant);
  void set_temperature_limits(int16_t hot_dc, int16_t low_dc, int16_t high_dc);
  void set_current(int pin, uint16_t over_current_ma, uint16_t millivolts_per_ampere);

  void setup() override;
  void loop() override;
  void dump_config() override;
  float get_setup_priority() const override;
#ifdef USE_OTA_STATE_LISTENER
  void on_ota_global_state(ota::OTAState state, float progress, uint8_t error,
                           ota::OTAComponent *component) override;
#endif

 private:
  /* Board */
  uint64_t now_us() override;
  void set_motor(uint16_t permille) override;
  bool send(const uint8_t *frame, uint8_t size) override;
  bool next_frame(Frame *frame) override;
  bool feet_are_on() override;
  bool button_is_pressed() override;
  bool motion_level() override;
  Conversion convert_temperature() override;
  uint16_t convert_current_mv() override;
  void feed_watchdog() override;
  void stop_watchdog() override;
  void restart() override;

  bool fail_(const char *what, int error);
  bool hold_motor_low_();
  bool raise_boot_id_(uint16_t *boot_id);
  bool start_timer_();
  bool start_inputs_();
  bool start_converter_(ConverterPin *input);
  bool start_tasks_();
  void start_watchdog_();
  void start_client_();
  void leave_and_wait_();
  Conversion convert_(const ConverterPin &input);
  void on_message_(const esp_mqtt_event_t &event);

  static void core_task_(void *self);
  static void sending_task_(void *self);
  static void before_restart_();
  static void on_client_event_(void *self, esp_event_base_t base, int32_t id, void *data);

  massager_config config_{};
  Wiring wiring_{};
  Topics topics_{};
  int motor_pin_ = -1;
  uint32_t frequency_hz_ = 25000;
  int feet_pin_ = -1;
  int button_pin_ = -1;
  int motion_pin_ = -1;
  ConverterPin temperature_{};
  ConverterPin current_{};
  adc_oneshot_unit_handle_t converter_ = nullptr;

  const char *host_ = nullptr;
  uint16_t port_ = 0;
  const char *username_ = nullptr;
  const char *password_ = nullptr;
  const char *ca_certificate_ = nullptr;
  uint16_t keepalive_s_ = 15;
  std::string client_id_;

  uint16_t boot_id_ = 0;
  uint8_t reset_cause_ = MASSAGER_RESET_CAUSE_UNKNOWN;
  DeviceLoop *device_ = nullptr;
  wdt_hal_context_t watchdog_{};
  QueueHandle_t down_ = nullptr;
  QueueHandle_t up_ = nullptr;
  TaskHandle_t core_ = nullptr;
  esp_mqtt_client_handle_t client_ = nullptr;
  int subscription_ = -1;
  std::atomic<bool> is_online_{false};
  std::atomic<bool> is_booted_{false};
};

}  // namespace esphome::foot_massager

#endif  // USE_ESP32
