#include "massager_component.h"

#ifdef USE_ESP32

#include <cstring>

#include <driver/gpio.h>
#include <driver/ledc.h>
#include <esp_adc/adc_cali_scheme.h>
#include <esp_system.h>
#include <esp_timer.h>
#include <nvs.h>
#include <soc/rtc.h>
#include <soc/soc_caps.h>

#include "esphome/components/network/util.h"
#include "esphome/core/log.h"

namespace esphome::foot_massager {

namespace {

const char *const TAG = "massager";

static_assert(configTICK_RATE_HZ == 1000, "the core's task needs ticks of 1 ms");

constexpr uint32_t WATCHDOG_MS = 250;        /* nominal; a hang is over within 500 ms (9.15) */
constexpr uint32_t QUEUE_FRAMES = 16;
constexpr uint32_t CORE_STACK_BYTES = 4096;
constexpr uint32_t SENDING_STACK_BYTES = 6144; /* TLS is written from here */
constexpr UBaseType_t CORE_PRIORITY = configMAX_PRIORITIES - 1; /* above Wi-Fi's 23 */
constexpr UBaseType_t SENDING_PRIORITY = 5;
constexpr uint32_t LEAVING_MS = 50;          /* the core's task passes every millisecond */
constexpr uint32_t RECONNECT_MS = 1000;
constexpr uint32_t NETWORK_MS = 5000;
constexpr int SUBSCRIPTION_REFUSED = 0x80;   /* in SUBACK, MQTT 3.1.1 */

constexpr ledc_timer_bit_t RESOLUTION = LEDC_TIMER_10_BIT;
constexpr uint32_t STEPS = 1024;
constexpr ledc_timer_t TIMER = LEDC_TIMER_0;
constexpr ledc_channel_t CHANNEL = LEDC_CHANNEL_0;
#if SOC_LEDC_SUPPORT_HS_MODE
constexpr ledc_mode_t SPEED = LEDC_HIGH_SPEED_MODE;
#else
constexpr ledc_mode_t SPEED = LEDC_LOW_SPEED_MODE;
#endif
constexpr adc_atten_t ATTENUATION = ADC_ATTEN_DB_12;

const char *const STORAGE = "foot_massager";
const char *const STORED_BOOT_ID = "boot_id";

/* What esp_restart() calls has no argument. */
MassagerComponent *the_component = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

uint8_t reset_cause_now() {
  switch (esp_reset_reason()) {
    case ESP_RST_POWERON:
      return MASSAGER_RESET_CAUSE_POWER_ON;
    case ESP_RST_EXT:
      return MASSAGER_RESET_CAUSE_EXTERNAL;
    case ESP_RST_BROWNOUT:
      return MASSAGER_RESET_CAUSE_BROWN_OUT;
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT:
      return MASSAGER_RESET_CAUSE_WATCHDOG;
    case ESP_RST_SW:
      return MASSAGER_RESET_CAUSE_SOFTWARE;
    default: /* a panic among them: that was neither on purpose nor a hang */
      return MASSAGER_RESET_CAUSE_UNKNOWN;
  }
}

bool make_input(int pin) {
  gpio_config_t config{};
  config.pin_bit_mask = 1ULL << pin;
  config.mode = GPIO_MODE_INPUT;
  config.pull_up_en = GPIO_PULLUP_ENABLE;
  return gpio_config(&config) == ESP_OK;
}

}  // namespace

void MassagerComponent::set_device_id(const char *device_id) {
  strncpy(this->config_.device_id, device_id, sizeof(this->config_.device_id));
  this->topics_ = topics_of(this->config_.device_id);
  this->client_id_ = std::string("massager-device-") + device_id;
}

void MassagerComponent::set_levels(uint16_t gentlest_permille, uint16_t max_permille) {
  this->config_.gentlest_permille = gentlest_permille;
  this->config_.max_permille = max_permille;
  this->config_.steps = STEPS;
}

void MassagerComponent::set_motor_pin(int pin, uint32_t frequency_hz, uint16_t spin_down_ms) {
  this->motor_pin_ = pin;
  this->frequency_hz_ = frequency_hz;
  this->config_.spin_down_ms = spin_down_ms;
}

void MassagerComponent::set_login(const char *username, const char *password) {
  this->username_ = username;
  this->password_ = password;
}

void MassagerComponent::set_feet(int pin) {
  this->feet_pin_ = pin;
  this->config_.capabilities |= MASSAGER_CAPABILITY_FEET_SENSOR;
}

void MassagerComponent::set_button(int pin) {
  this->button_pin_ = pin;
  this->config_.capabilities |= MASSAGER_CAPABILITY_BUTTON;
}

void MassagerComponent::set_motion(int pin) {
  this->motion_pin_ = pin;
  this->config_.capabilities |= MASSAGER_CAPABILITY_MOTION;
}

void MassagerComponent::set_temperature(int pin, uint32_t series_ohm, uint32_t b_constant) {
  this->temperature_.pin = pin;
  this->wiring_.thermistor.series_ohm = series_ohm;
  this->wiring_.thermistor.b_constant = b_constant;
  this->config_.capabilities |= MASSAGER_CAPABILITY_TEMPERATURE;
}

void MassagerComponent::set_temperature_limits(int16_t hot_dc, int16_t low_dc, int16_t high_dc) {
  this->config_.hot_dc = hot_dc;
  this->config_.sensor_low_dc = low_dc;
  this->config_.sensor_high_dc = high_dc;
}

void MassagerComponent::set_current(int pin, uint16_t over_current_ma,
                                    uint16_t millivolts_per_ampere) {
  this->current_.pin = pin;
  this->config_.over_current_ma = over_current_ma;
  this->wiring_.millivolts_per_ampere = millivolts_per_ampere;
  this->config_.capabilities |= MASSAGER_CAPABILITY_CURRENT;
}

/* --- start ------------------------------------------------------------------------------------ */

float MassagerComponent::get_setup_priority() const { return setup_priority::BUS; }

void MassagerComponent::setup() {
  if (!this->hold_motor_low_() || !this->raise_boot_id_(&this->boot_id_) || !this->start_timer_() ||
      !this->start_inputs_() || !this->start_tasks_()) {
    this->mark_failed();
    return;
  }
#ifdef USE_OTA_STATE_LISTENER
  ota::get_global_ota_callback()->add_global_state_listener(this);
#endif
}

/* Without the core the motor's pin stays as hold_motor_low_() left it. */
bool MassagerComponent::fail_(const char *what, int error) {
  ESP_LOGE(TAG, "%s failed (%d): the motor stays off", what, error);
  return false;
}

bool MassagerComponent::hold_motor_low_() {
  const auto pin = static_cast<gpio_num_t>(this->motor_pin_);
  gpio_set_level(pin, 0);
  gpio_config_t config{};
  config.pin_bit_mask = 1ULL << this->motor_pin_;
  config.mode = GPIO_MODE_OUTPUT;
  config.pull_down_en = GPIO_PULLDOWN_ENABLE;
  const esp_err_t error = gpio_config(&config);
  gpio_set_level(pin, 0);
  return error == ESP_OK || this->fail_("Driving the motor's pin", error);
}

/* Committed before the core exists, so that no motion can come under an id that a power cut takes
 * back (4.7). */
bool MassagerComponent::raise_boot_id_(uint16_t *boot_id) {
  nvs_handle_t storage;
  esp_err_t error = nvs_open(STORAGE, NVS_READWRITE, &storage);
  if (error != ESP_OK)
    return this->fail_("Opening the boot id's storage", error);
  uint16_t last = 0;
  error = nvs_get_u16(storage, STORED_BOOT_ID, &last);
  if (error == ESP_OK || error == ESP_ERR_NVS_NOT_FOUND) {
    *boot_id = next_boot_id(last);
    error = nvs_set_u16(storage, STORED_BOOT_ID, *boot_id);
    if (error == ESP_OK)
      error = nvs_commit(storage);
  }
  nvs_close(storage);
  return error == ESP_OK || this->fail_("Raising the boot id", error);
}

bool MassagerComponent::start_timer_() {
  ledc_timer_config_t timer{};
  timer.speed_mode = SPEED;
  timer.duty_resolution = RESOLUTION;
  timer.timer_num = TIMER;
  timer.freq_hz = this->frequency_hz_;
  timer.clk_cfg = LEDC_AUTO_CLK;
  esp_err_t error = ledc_timer_config(&timer);
  if (error != ESP_OK)
    return this->fail_("Starting the motor's timer", error);

  ledc_channel_config_t channel{};
  channel.gpio_num = this->motor_pin_;
  channel.speed_mode = SPEED;
  channel.channel = CHANNEL;
  channel.timer_sel = TIMER;
  channel.duty = 0;
  error = ledc_channel_config(&channel);
  if (error == ESP_OK)
    error = ledc_stop(SPEED, CHANNEL, 0);
  return error == ESP_OK || this->fail_("Starting the motor's channel", error);
}

bool MassagerComponent::start_inputs_() {
  for (const int pin : {this->feet_pin_, this->button_pin_, this->motion_pin_}) {
    if (pin >= 0 && !make_input(pin))
      return this->fail_("Preparing an input", pin);
  }
  if (this->temperature_.pin < 0 && this->current_.pin < 0)
    return true;
  adc_oneshot_unit_init_cfg_t unit{};
  unit.unit_id = ADC_UNIT_1; /* Wi-Fi takes the other one */
  const esp_err_t error = adc_oneshot_new_unit(&unit, &this->converter_);
  if (error != ESP_OK)
    return this->fail_("Starting the converter", error);
  return this->start_converter_(&this->temperature_) && this->start_converter_(&this->current_);
}

bool MassagerComponent::start_converter_(ConverterPin *input) {
  if (input->pin < 0)
    return true;
  adc_unit_t unit;
  esp_err_t error = adc_oneshot_io_to_channel(input->pin, &unit, &input->channel);
  if (error != ESP_OK || unit != ADC_UNIT_1)
    return this->fail_("Finding the converter's channel", error);

  adc_oneshot_chan_cfg_t channel{};
  channel.atten = ATTENUATION;
  channel.bitwidth = ADC_BITWIDTH_12;
  error = adc_oneshot_config_channel(this->converter_, input->channel, &channel);
  if (error != ESP_OK)
    return this->fail_("Preparing the converter's channel", error);

#if ADC_CALI_SCHEME_CURVE_FITTING_SUPPORTED
  adc_cali_curve_fitting_config_t scheme{};
  scheme.unit_id = ADC_UNIT_1;
  scheme.chan = input->channel;
  scheme.atten = ATTENUATION;
  scheme.bitwidth = ADC_BITWIDTH_12;
  error = adc_cali_create_scheme_curve_fitting(&scheme, &input->calibration);
#else
  adc_cali_line_fitting_config_t scheme{};
  scheme.unit_id = ADC_UNIT_1;
  scheme.atten = ATTENUATION;
  scheme.bitwidth = ADC_BITWIDTH_12;
#if CONFIG_IDF_TARGET_ESP32
  scheme.default_vref = 1100; /* mV, for chips that came without a calibration */
#endif
  error = adc_cali_create_scheme_line_fitting(&scheme, &input->calibration);
#endif
  return error == ESP_OK || this->fail_("Calibrating the converter", error);
}

bool MassagerComponent::start_tasks_() {
  this->down_ = xQueueCreate(QUEUE_FRAMES, sizeof(Frame));
  this->up_ = xQueueCreate(QUEUE_FRAMES, sizeof(Frame));
  if (this->down_ == nullptr || this->up_ == nullptr)
    return this->fail_("Making the queues", 0);
  this->reset_cause_ = reset_cause_now();
  this->device_ = new DeviceLoop(*this, this->config_, this->wiring_);  // NOLINT(cppcoreguidelines-owning-memory)
  the_component = this;
  esp_register_shutdown_handler(MassagerComponent::before_restart_);

  if (xTaskCreate(sending_task_, "massager_up", SENDING_STACK_BYTES, this, SENDING_PRIORITY,
                  nullptr) != pdPASS)
    return this->fail_("Starting the sending task", 0);
  /* On the last core: Wi-Fi's task is on the first one. */
  const BaseType_t core = portNUM_PROCESSORS - 1;
  if (xTaskCreatePinnedToCore(core_task_, "massager", CORE_STACK_BYTES, this, CORE_PRIORITY,
                              &this->core_, core) != pdPASS)
    return this->fail_("Starting the core's task", 0);
  return true;
}

/* --- the core's task --------------------------------------------------------------------------- */

void MassagerComponent::core_task_(void *self) {
  auto *component = static_cast<MassagerComponent *>(self);
  component->device_->boot(component->boot_id_, component->reset_cause_);
  component->is_booted_.store(true);
  component->start_watchdog_();
  while (!component->device_->is_out_of_service()) {
    ulTaskNotifyTake(pdTRUE, 1); /* a tick of 1 ms, or a frame */
    component->device_->pass();
  }
  vTaskDelete(nullptr);
}

/* The watchdog of the RTC: ESP-IDF uses it while it starts and leaves it free afterwards, and it
 * counts on where the processor's clocks stand still. */
void MassagerComponent::start_watchdog_() {
  const auto ticks = static_cast<uint32_t>(static_cast<uint64_t>(WATCHDOG_MS) *
                                           rtc_clk_slow_freq_get_hz() / 1000u);
  wdt_hal_init(&this->watchdog_, WDT_RWDT, 0, false);
  wdt_hal_write_protect_disable(&this->watchdog_);
  wdt_hal_config_stage(&this->watchdog_, WDT_STAGE0, ticks, WDT_STAGE_ACTION_RESET_SYSTEM);
  wdt_hal_config_stage(&this->watchdog_, WDT_STAGE1, ticks / 2u, WDT_STAGE_ACTION_RESET_RTC);
  wdt_hal_enable(&this->watchdog_);
  wdt_hal_write_protect_enable(&this->watchdog_);
}

void MassagerComponent::feed_watchdog() {
  wdt_hal_write_protect_disable(&this->watchdog_);
  wdt_hal_feed(&this->watchdog_);
  wdt_hal_write_protect_enable(&this->watchdog_);
}

void MassagerComponent::stop_watchdog() {
  wdt_hal_write_protect_disable(&this->watchdog_);
  wdt_hal_disable(&this->watchdog_);
  wdt_hal_write_protect_enable(&this->watchdog_);
}

uint64_t MassagerComponent::now_us() { return static_cast<uint64_t>(esp_timer_get_time()); }

void MassagerComponent::set_motor(uint16_t permille) {
  if (permille == 0) {
    ledc_stop(SPEED, CHANNEL, 0);
    return;
  }
  ledc_set_duty(SPEED, CHANNEL, duty_of(permille, STEPS));
  ledc_update_duty(SPEED, CHANNEL);
}

/* While there is no connection there is no room: the core keeps its events until there is. */
bool MassagerComponent::send(const uint8_t *frame, uint8_t size) {
  if (!this->is_online_.load() || size > FRAME_MAX)
    return false;
  Frame item{};
  item.size = size;
  memcpy(item.bytes, frame, size);
  return xQueueSend(this->up_, &item, 0) == pdTRUE;
}

bool MassagerComponent::next_frame(Frame *frame) {
  return xQueueReceive(this->down_, frame, 0) == pdTRUE;
}

/* Closed to ground with the feet on: a broken wire reads off. */
bool MassagerComponent::feet_are_on() {
  return gpio_get_level(static_cast<gpio_num_t>(this->feet_pin_)) == 0;
}

/* Opened by the hand: a broken wire stops. */
bool MassagerComponent::button_is_pressed() {
  return gpio_get_level(static_cast<gpio_num_t>(this->button_pin_)) != 0;
}

bool MassagerComponent::motion_level() {
  return gpio_get_level(static_cast<gpio_num_t>(this->motion_pin_)) != 0;
}

/* A converter that fails reads as a broken wire. */
Conversion MassagerComponent::convert_(const ConverterPin &input) {
  int raw = 0;
  int millivolts = 0;
  if (adc_oneshot_read(this->converter_, input.channel, &raw) != ESP_OK ||
      adc_cali_raw_to_voltage(input.calibration, raw, &millivolts) != ESP_OK || millivolts < 0)
    return {CONVERTER_MAX, UINT16_MAX};
  return {static_cast<uint16_t>(raw), static_cast<uint16_t>(millivolts)};
}

Conversion MassagerComponent::convert_temperature() { return this->convert_(this->temperature_); }

uint16_t MassagerComponent::convert_current_mv() {
  return this->convert_(this->current_).millivolts;
}

/* --- leaving ----------------------------------------------------------------------------------- */

void MassagerComponent::restart() { esp_restart(); }

/* The core's task gets LEAVING_MS to hold the motor; where it does not, its watchdog is still on. */
void MassagerComponent::leave_and_wait_() {
  this->device_->take_out_of_service();
  for (uint32_t ms = 0; ms < LEAVING_MS && !this->device_->is_out_of_service(); ms++)
    vTaskDelay(1);
}

/* esp_restart() calls it, whoever asked for the restart. */
void MassagerComponent::before_restart_() {
  if (the_component != nullptr && the_component->core_ != xTaskGetCurrentTaskHandle())
    the_component->leave_and_wait_();
}

#ifdef USE_OTA_STATE_LISTENER
/* Erasing the flash for an update stops every task for longer than the watchdog allows. So the device
 * goes out of service before it, and comes back by a restart, whether the update succeeded or not. */
void MassagerComponent::on_ota_global_state(ota::OTAState state, float /*progress*/,
                                            uint8_t /*error*/, ota::OTAComponent * /*from*/) {
  if (state == ota::OTA_STARTED) {
    this->leave_and_wait_();
  } else if ((state == ota::OTA_ERROR || state == ota::OTA_ABORT) &&
             this->device_->is_out_of_service()) { /* not for one that never began: a wrong password */
    this->restart();
  }
}
#endif

/* --- the broker ------------------------------------------------------------------------------- */

void MassagerComponent::loop() {
  if (this->client_ != nullptr || !this->is_booted_.load() || !network::is_connected())
    return;
  this->start_client_();
  this->disable_loop();
}

void MassagerComponent::start_client_() {
  esp_mqtt_client_config_t config{};
  config.broker.address.hostname = this->host_;
  config.broker.address.port = this->port_;
  config.broker.address.transport =
      this->ca_certificate_ != nullptr ? MQTT_TRANSPORT_OVER_SSL : MQTT_TRANSPORT_OVER_TCP;
  config.broker.verification.certificate = this->ca_certificate_;
  config.credentials.client_id = this->client_id_.c_str();
  config.credentials.username = this->username_;
  config.credentials.authentication.password = this->password_;
  config.session.protocol_ver = MQTT_PROTOCOL_V_3_1_1;
  config.session.disable_clean_session = false;
  config.session.keepalive = this->keepalive_s_;
  config.network.reconnect_timeout_ms = RECONNECT_MS;
  config.network.timeout_ms = NETWORK_MS;
  this->client_ = esp_mqtt_client_init(&config);
  if (this->client_ == nullptr) {
    ESP_LOGE(TAG, "The MQTT client could not be made: nobody can reach this device");
    this->mark_failed();
    return;
  }
  esp_mqtt_client_register_event(this->client_, MQTT_EVENT_ANY, on_client_event_, this);
  esp_mqtt_client_start(this->client_);
}

void MassagerComponent::on_client_event_(void *self, esp_event_base_t /*base*/, int32_t id,
                                         void *data) {
  auto *component = static_cast<MassagerComponent *>(self);
  const auto &event = *static_cast<esp_mqtt_event_t *>(data);
  switch (static_cast<esp_mqtt_event_id_t>(id)) {
    case MQTT_EVENT_CONNECTED:
      component->subscription_ =
          esp_mqtt_client_subscribe(component->client_, component->topics_.down, 0);
      break;
    case MQTT_EVENT_SUBSCRIBED:
      if (event.msg_id != component->subscription_)
        break;
      if (event.data_len > 0 && static_cast<uint8_t>(event.data[0]) >= SUBSCRIPTION_REFUSED) {
        ESP_LOGE(TAG, "The broker refuses %s: allow this user to read it", component->topics_.down);
        break;
      }
      component->is_online_.store(true);
      ESP_LOGI(TAG, "Listening on %s", component->topics_.down);
      break;
    case MQTT_EVENT_DISCONNECTED:
      component->is_online_.store(false);
      break;
    case MQTT_EVENT_DATA:
      component->on_message_(event);
      break;
    default:
      break;
  }
}

void MassagerComponent::on_message_(const esp_mqtt_event_t &event) {
  const Message message = {event.topic,
                           static_cast<size_t>(event.topic_len),
                           event.data,
                           static_cast<size_t>(event.data_len),
                           static_cast<size_t>(event.total_data_len),
                           static_cast<size_t>(event.current_data_offset),
                           event.retain};
  Frame frame;
  if (!take(message, this->topics_, &frame))
    return;
  if (xQueueSend(this->down_, &frame, 0) == pdTRUE)
    xTaskNotifyGive(this->core_);
}

void MassagerComponent::sending_task_(void *self) {
  auto *component = static_cast<MassagerComponent *>(self);
  Frame frame;
  while (true) {
    if (xQueueReceive(component->up_, &frame, portMAX_DELAY) != pdTRUE)
      continue;
    /* QoS 0, not retained (2.20). What cannot be sent is lost, as over any line. */
    esp_mqtt_client_publish(component->client_, component->topics_.up,
                            reinterpret_cast<const char *>(frame.bytes), frame.size, 0, 0);
  }
}

void MassagerComponent::dump_config() {
  ESP_LOGCONFIG(TAG,
                "Foot massager:\n"
                "  Device id: %.8s, boot id %u, reset cause %u\n"
                "  Motor: GPIO%d at %u Hz, %u to %u permille\n"
                "  Capabilities: 0x%04x\n"
                "  Broker: %s:%u%s\n"
                "  Topics: %s, %s",
                this->config_.device_id, this->boot_id_, this->reset_cause_, this->motor_pin_,
                static_cast<unsigned>(this->frequency_hz_), this->config_.gentlest_permille,
                this->config_.max_permille, this->config_.capabilities, this->host_, this->port_,
                this->ca_certificate_ != nullptr ? " (TLS)" : "", this->topics_.down,
                this->topics_.up);
}

}  // namespace esphome::foot_massager

#endif  // USE_ESP32
