/* A board and a broker behind the stand-ins: they write down what the component asks, in order, and
 * run its tasks one after another, a millisecond at a time. A test reads the record and plays the
 * broker. */
#include <ucontext.h>

#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "massager_component.h"

struct StandInQueue {
  size_t item_size;
  size_t length;
  std::deque<std::string> items;
};

struct StandInTask {
  ucontext_t context;
  std::vector<char> stack;
  TaskFunction_t run;
  void *argument;
  bool is_over;
};

namespace {

struct World {
  std::vector<std::string> record;
  std::set<std::string> failing; /* calls that fail from now on */
  std::vector<std::unique_ptr<StandInTask>> tasks;
  StandInTask *current = nullptr;
  ucontext_t scheduler;
  int64_t time_us = 0;
  uint16_t boot_id = 0;
  bool has_boot_id = false;
  esp_reset_reason_t reset = ESP_RST_POWERON;
  void (*before_restart)() = nullptr;
  esp_event_handler_t on_event = nullptr;
  void *event_argument = nullptr;
  bool is_networked = false;
  bool has_failed = false;
  esphome::ota::OTAGlobalCallback updates;
} world;

template<typename... Arguments> void note(const char *format, Arguments... arguments) {
  char line[300];
  snprintf(line, sizeof(line), format, arguments...);
  world.record.emplace_back(line);
}

esp_err_t done(const char *call) { return world.failing.count(call) ? ESP_FAIL : ESP_OK; }

/* Back to the test, or from the test's own context one millisecond of everybody else. */
void wait_a_tick();

void enter(unsigned low, unsigned high) {
  auto *task = reinterpret_cast<StandInTask *>((static_cast<uintptr_t>(high) << 32) | low);
  task->run(task->argument);
}

void run_tasks() {
  for (auto &task : world.tasks) {
    if (task->is_over)
      continue;
    world.current = task.get();
    swapcontext(&world.scheduler, &task->context);
    world.current = nullptr;
  }
}

void tick() {
  world.time_us += 1000;
  run_tasks();
}

void wait_a_tick() {
  if (world.current == nullptr)
    return tick();
  StandInTask *task = world.current;
  swapcontext(&task->context, &world.scheduler);
}

BaseType_t start(TaskFunction_t run, void *argument, TaskHandle_t *handle) {
  auto task = std::make_unique<StandInTask>();
  task->stack.resize(256 * 1024);
  task->run = run;
  task->argument = argument;
  task->is_over = false;
  getcontext(&task->context);
  task->context.uc_stack.ss_sp = task->stack.data();
  task->context.uc_stack.ss_size = task->stack.size();
  task->context.uc_link = nullptr;
  const auto address = reinterpret_cast<uintptr_t>(task.get());
  makecontext(&task->context, reinterpret_cast<void (*)()>(enter), 2,
              static_cast<unsigned>(address), static_cast<unsigned>(address >> 32));
  if (handle != nullptr)
    *handle = task.get();
  world.tasks.push_back(std::move(task));
  return pdPASS;
}

std::string hex(const char *data, int size) {
  std::string text;
  char digits[3];
  for (int i = 0; i < size; i++) {
    snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(data[i]));
    text += digits;
  }
  return text;
}

}  // namespace

/* --- FreeRTOS */

QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size) {
  return new StandInQueue{item_size, length, {}};
}
BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t wait) {
  if (wait != 0)
    note("WAITED for room in a queue");
  if (queue->items.size() >= queue->length)
    return pdFALSE;
  queue->items.emplace_back(static_cast<const char *>(item), queue->item_size);
  return pdTRUE;
}
BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t wait) {
  while (queue->items.empty()) {
    if (wait == 0)
      return pdFALSE;
    wait_a_tick();
  }
  memcpy(item, queue->items.front().data(), queue->item_size);
  queue->items.pop_front();
  return pdTRUE;
}
BaseType_t xTaskCreate(TaskFunction_t task, const char *name, uint32_t, void *argument,
                       UBaseType_t priority, TaskHandle_t *handle) {
  note("task %s priority %u", name, priority);
  return start(task, argument, handle);
}
BaseType_t xTaskCreatePinnedToCore(TaskFunction_t task, const char *name, uint32_t, void *argument,
                                   UBaseType_t priority, TaskHandle_t *handle, BaseType_t core) {
  note("task %s priority %u core %d", name, priority, core);
  return start(task, argument, handle);
}
uint32_t ulTaskNotifyTake(BaseType_t, TickType_t) {
  wait_a_tick();
  return 0;
}
BaseType_t xTaskNotifyGive(TaskHandle_t) { return pdTRUE; }
TaskHandle_t xTaskGetCurrentTaskHandle() { return world.current; }
void vTaskDelay(TickType_t) { wait_a_tick(); }
void vTaskDelete(TaskHandle_t) {
  world.current->is_over = true;
  wait_a_tick();
}

/* --- pins, timer, converter */

esp_err_t gpio_config(const gpio_config_t *config) {
  for (int pin = 0; pin < 40; pin++) {
    if (config->pin_bit_mask >> pin & 1)
      note("pin %d %s%s%s", pin, config->mode == GPIO_MODE_OUTPUT ? "out" : "in",
           config->pull_up_en ? " up" : "", config->pull_down_en ? " down" : "");
  }
  return done("gpio_config");
}
esp_err_t gpio_set_level(gpio_num_t pin, uint32_t level) {
  note("level %d %u", static_cast<int>(pin), level);
  return ESP_OK;
}
int gpio_get_level(gpio_num_t) { return 0; }
esp_err_t ledc_timer_config(const ledc_timer_config_t *config) {
  note("timer %u Hz %d bits", config->freq_hz, static_cast<int>(config->duty_resolution));
  return done("ledc_timer_config");
}
esp_err_t ledc_channel_config(const ledc_channel_config_t *config) {
  note("channel on %d duty %u", config->gpio_num, config->duty);
  return done("ledc_channel_config");
}
esp_err_t ledc_set_duty(ledc_mode_t, ledc_channel_t, uint32_t duty) {
  note("duty %u", duty);
  return ESP_OK;
}
esp_err_t ledc_update_duty(ledc_mode_t, ledc_channel_t) { return ESP_OK; }
esp_err_t ledc_stop(ledc_mode_t, ledc_channel_t, uint32_t idle_level) {
  note("off %u", idle_level);
  return ESP_OK;
}
esp_err_t adc_oneshot_new_unit(const adc_oneshot_unit_init_cfg_t *config,
                               adc_oneshot_unit_handle_t *) {
  note("converter %d", static_cast<int>(config->unit_id) + 1);
  return done("adc_oneshot_new_unit");
}
esp_err_t adc_oneshot_io_to_channel(int pin, adc_unit_t *unit, adc_channel_t *channel) {
  *unit = ADC_UNIT_1;
  *channel = pin == 34 ? ADC_CHANNEL_6 : ADC_CHANNEL_7;
  return ESP_OK;
}
esp_err_t adc_oneshot_config_channel(adc_oneshot_unit_handle_t, adc_channel_t,
                                     const adc_oneshot_chan_cfg_t *) {
  return ESP_OK;
}
esp_err_t adc_oneshot_read(adc_oneshot_unit_handle_t, adc_channel_t channel, int *raw) {
  *raw = channel == ADC_CHANNEL_6 ? 2000 : 300;
  return done("adc_oneshot_read");
}
esp_err_t adc_cali_create_scheme_line_fitting(const adc_cali_line_fitting_config_t *,
                                              adc_cali_handle_t *) {
  return ESP_OK;
}
esp_err_t adc_cali_raw_to_voltage(adc_cali_handle_t, int raw, int *millivolts) {
  *millivolts = raw == 2000 ? 1650 : 240;
  return ESP_OK;
}

/* --- storage, system, watchdog */

esp_err_t nvs_open(const char *, nvs_open_mode_t, nvs_handle_t *) { return done("nvs_open"); }
esp_err_t nvs_get_u16(nvs_handle_t, const char *, uint16_t *value) {
  if (!world.has_boot_id)
    return world.failing.count("nvs_get_u16") ? ESP_FAIL : ESP_ERR_NVS_NOT_FOUND;
  *value = world.boot_id;
  return done("nvs_get_u16");
}
esp_err_t nvs_set_u16(nvs_handle_t, const char *, uint16_t value) {
  note("boot id %u", value);
  return done("nvs_set_u16");
}
esp_err_t nvs_commit(nvs_handle_t) {
  note("commit");
  return done("nvs_commit");
}
void nvs_close(nvs_handle_t) {}
esp_reset_reason_t esp_reset_reason() { return world.reset; }
void esp_restart() {
  if (world.before_restart != nullptr)
    world.before_restart();
  note("restart");
}
esp_err_t esp_register_shutdown_handler(void (*handler)()) {
  world.before_restart = handler;
  return ESP_OK;
}
int64_t esp_timer_get_time() { return world.time_us; }
uint32_t rtc_clk_slow_freq_get_hz() { return 150000; }
void wdt_hal_init(wdt_hal_context_t *, wdt_inst_t inst, uint32_t, bool) {
  note("watchdog %s", inst == WDT_RWDT ? "of the RTC" : "of a timer group");
}
void wdt_hal_config_stage(wdt_hal_context_t *, wdt_stage_t stage, uint32_t ticks,
                          wdt_stage_action_t action) {
  note("stage %d after %u ticks %s", static_cast<int>(stage), ticks,
       action == WDT_STAGE_ACTION_RESET_SYSTEM ? "resets the system"
       : action == WDT_STAGE_ACTION_RESET_RTC  ? "resets everything"
                                               : "?");
}
void wdt_hal_write_protect_disable(wdt_hal_context_t *) {}
void wdt_hal_write_protect_enable(wdt_hal_context_t *) {}
void wdt_hal_enable(wdt_hal_context_t *) { note("watchdog on"); }
void wdt_hal_disable(wdt_hal_context_t *) { note("watchdog off"); }
void wdt_hal_feed(wdt_hal_context_t *) { note("fed"); }

/* --- esp-mqtt */

esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *config) {
  note("client %s %s:%u %s clean=%d keepalive=%d version=%s will=%s login=%s/%s",
       config->credentials.client_id, config->broker.address.hostname,
       config->broker.address.port,
       config->broker.address.transport == MQTT_TRANSPORT_OVER_SSL ? "TLS" : "plain",
       !config->session.disable_clean_session, config->session.keepalive,
       config->session.protocol_ver == MQTT_PROTOCOL_V_3_1_1 ? "3.1.1" : "?",
       config->session.last_will.topic ? config->session.last_will.topic : "none",
       config->credentials.username ? config->credentials.username : "none",
       config->credentials.authentication.password ? config->credentials.authentication.password
                                                   : "none");
  return reinterpret_cast<esp_mqtt_client_handle_t>(&world);
}
esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t) { return ESP_OK; }
esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t, esp_mqtt_event_id_t,
                                         esp_event_handler_t handler, void *argument) {
  world.on_event = handler;
  world.event_argument = argument;
  return ESP_OK;
}
int esp_mqtt_client_subscribe(esp_mqtt_client_handle_t, const char *topic, int qos) {
  note("subscribe %s qos=%d", topic, qos);
  return 11;
}
int esp_mqtt_client_publish(esp_mqtt_client_handle_t, const char *topic, const char *data, int size,
                            int qos, int retain) {
  note("publish %s qos=%d retain=%d %s", topic, qos, retain, hex(data, size).c_str());
  return 0;
}

/* --- ESPHome: what lies behind the headers that the component includes */

namespace esphome {

void Component::setup() {}
void Component::loop() {}
void Component::dump_config() {}
float Component::get_setup_priority() const { return 0; }
void Component::call_setup() {}
bool Component::can_proceed() { return true; }
void Component::mark_failed() { world.has_failed = true; }
void Component::disable_loop() {}
void esp_log_printf_(int, const char *, int, const char *, ...) {}
namespace network {
bool is_connected() { return world.is_networked; }
}
namespace ota {
OTAGlobalCallback *get_global_ota_callback() { return &world.updates; }
}

}  // namespace esphome

/* --- for the test */

using esphome::foot_massager::MassagerComponent;

extern "C" {

/* A device as in example.yaml, before its setup(). One in a process. */
MassagerComponent *shell_new(bool has_boot_id, uint16_t boot_id, uint8_t reset, const char *failing,
                             bool has_inputs, bool has_tls) {
  world.has_boot_id = has_boot_id;
  world.boot_id = boot_id;
  world.reset = static_cast<esp_reset_reason_t>(reset);
  if (*failing != 0)
    world.failing.insert(failing);
  auto *component = new MassagerComponent();
  component->set_device_id("foot-001");
  component->set_model(1);
  component->set_levels(150, 1000);
  component->set_motor_pin(25, 25000, 500);
  component->set_broker("broker.example", has_tls ? 8883 : 1883);
  component->set_keepalive(15);
  if (has_tls) {
    component->set_login("user", "word");
    component->set_ca_certificate("PEM");
  }
  if (has_inputs) {
    component->set_feet(26);
    component->set_temperature(34, 10000, 3950);
    component->set_temperature_limits(700, -200, 1200);
    component->set_current(35, 1800, 1000);
  }
  return component;
}
void shell_setup(MassagerComponent *component) { component->setup(); }
void shell_loop(MassagerComponent *component, bool is_networked) {
  world.is_networked = is_networked;
  component->loop();
}
void shell_run(uint32_t ms) {
  for (uint32_t i = 0; i < ms; i++)
    tick();
}
void shell_stall(uint32_t ms) {
  world.time_us += static_cast<int64_t>(ms) * 1000;
  run_tasks();
}
void shell_event(int32_t id, int msg_id, const char *topic, const char *data, int size,
                 bool is_retained) {
  esp_mqtt_event_t event{};
  event.event_id = static_cast<esp_mqtt_event_id_t>(id);
  event.msg_id = msg_id;
  event.topic = const_cast<char *>(topic);
  event.topic_len = static_cast<int>(strlen(topic));
  event.data = const_cast<char *>(data);
  event.data_len = event.total_data_len = size;
  event.retain = is_retained;
  world.on_event(world.event_argument, "mqtt", id, &event);
}
void shell_update(int state) {
  world.updates.notify_ota_state(static_cast<esphome::ota::OTAState>(state), 0, 0, nullptr);
}
void shell_fail(const char *call) { world.failing.insert(call); }
void shell_restart() { esp_restart(); }
bool shell_has_failed() { return world.has_failed; }
uint32_t shell_record(char *text, uint32_t size) {
  std::string all;
  for (const auto &line : world.record)
    all += line + "\n";
  world.record.clear();
  snprintf(text, size, "%s", all.c_str());
  return static_cast<uint32_t>(all.size());
}

}  // extern "C"
