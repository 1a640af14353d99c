/* Stand-ins for what massager_component.cpp takes from ESP-IDF 5.5: the same names, and signatures and
 * fields after its documentation. Behind them is a board that writes down what it is asked (fakes.cpp).
 * They prove that the component is C++ that fits them and ESPHome's headers, and what it asks in which
 * order; not that ESP-IDF does what its documentation says. */
#pragma once

#include <cstddef>
#include <cstdint>

#define ESP_IDF_VERSION_VAL(major, minor, patch) (((major) << 16) | ((minor) << 8) | (patch))
#define ESP_IDF_VERSION ESP_IDF_VERSION_VAL(5, 5, 4)
#define CONFIG_IDF_TARGET_ESP32 1
#define CONFIG_ESP_TASK_WDT_TIMEOUT_S 5
#define SOC_LEDC_SUPPORT_HS_MODE 1
#define ADC_CALI_SCHEME_LINE_FITTING_SUPPORTED 1
#define IRAM_ATTR
#define PROGMEM

typedef int esp_err_t;
#define ESP_OK 0
#define ESP_FAIL (-1)
#define ESP_ERR_NVS_NOT_FOUND 0x1102

/* FreeRTOS */
typedef int BaseType_t;
typedef unsigned UBaseType_t;
typedef uint32_t TickType_t;
typedef struct StandInQueue *QueueHandle_t;
typedef struct StandInTask *TaskHandle_t;
typedef struct StandInSemaphore *SemaphoreHandle_t;
typedef void (*TaskFunction_t)(void *);
#define pdTRUE 1
#define pdFALSE 0
#define pdPASS 1
#define portMAX_DELAY 0xFFFFFFFFu
#define configMAX_PRIORITIES 25
#define configTICK_RATE_HZ 1000
#define portNUM_PROCESSORS 2
QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size);
BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t wait);
BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t wait);
BaseType_t xTaskCreate(TaskFunction_t task, const char *name, uint32_t stack, void *argument,
                       UBaseType_t priority, TaskHandle_t *handle);
BaseType_t xTaskCreatePinnedToCore(TaskFunction_t task, const char *name, uint32_t stack,
                                   void *argument, UBaseType_t priority, TaskHandle_t *handle,
                                   BaseType_t core);
uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait);
BaseType_t xTaskNotifyGive(TaskHandle_t task);
TaskHandle_t xTaskGetCurrentTaskHandle();
void vTaskDelay(TickType_t ticks);
void vTaskDelete(TaskHandle_t task);

/* GPIO */
enum gpio_num_t { GPIO_NUM_NC = -1, GPIO_NUM_0 = 0, GPIO_NUM_MAX = 40 };
enum gpio_mode_t { GPIO_MODE_DISABLE, GPIO_MODE_INPUT, GPIO_MODE_OUTPUT };
enum gpio_pullup_t { GPIO_PULLUP_DISABLE, GPIO_PULLUP_ENABLE };
enum gpio_pulldown_t { GPIO_PULLDOWN_DISABLE, GPIO_PULLDOWN_ENABLE };
enum gpio_int_type_t { GPIO_INTR_DISABLE };
struct gpio_config_t {
  uint64_t pin_bit_mask;
  gpio_mode_t mode;
  gpio_pullup_t pull_up_en;
  gpio_pulldown_t pull_down_en;
  gpio_int_type_t intr_type;
};
esp_err_t gpio_config(const gpio_config_t *config);
esp_err_t gpio_set_level(gpio_num_t pin, uint32_t level);
int gpio_get_level(gpio_num_t pin);

/* LEDC */
enum ledc_mode_t { LEDC_HIGH_SPEED_MODE, LEDC_LOW_SPEED_MODE };
enum ledc_timer_t { LEDC_TIMER_0 };
enum ledc_channel_t { LEDC_CHANNEL_0 };
enum ledc_timer_bit_t { LEDC_TIMER_10_BIT = 10 };
enum ledc_clk_cfg_t { LEDC_AUTO_CLK };
enum ledc_intr_type_t { LEDC_INTR_DISABLE };
struct ledc_timer_config_t {
  ledc_mode_t speed_mode;
  ledc_timer_bit_t duty_resolution;
  ledc_timer_t timer_num;
  uint32_t freq_hz;
  ledc_clk_cfg_t clk_cfg;
  bool deconfigure;
};
struct ledc_channel_config_t {
  int gpio_num;
  ledc_mode_t speed_mode;
  ledc_channel_t channel;
  ledc_intr_type_t intr_type;
  ledc_timer_t timer_sel;
  uint32_t duty;
  int hpoint;
};
esp_err_t ledc_timer_config(const ledc_timer_config_t *config);
esp_err_t ledc_channel_config(const ledc_channel_config_t *config);
esp_err_t ledc_set_duty(ledc_mode_t mode, ledc_channel_t channel, uint32_t duty);
esp_err_t ledc_update_duty(ledc_mode_t mode, ledc_channel_t channel);
esp_err_t ledc_stop(ledc_mode_t mode, ledc_channel_t channel, uint32_t idle_level);

/* ADC */
enum adc_unit_t { ADC_UNIT_1, ADC_UNIT_2 };
enum adc_channel_t { ADC_CHANNEL_0, ADC_CHANNEL_6 = 6, ADC_CHANNEL_7 = 7 };
enum adc_atten_t { ADC_ATTEN_DB_0, ADC_ATTEN_DB_12 = 3 };
enum adc_bitwidth_t { ADC_BITWIDTH_DEFAULT = 0, ADC_BITWIDTH_12 = 12 };
typedef struct StandInUnit *adc_oneshot_unit_handle_t;
typedef struct StandInScheme *adc_cali_handle_t;
struct adc_oneshot_unit_init_cfg_t {
  adc_unit_t unit_id;
  int clk_src;
  int ulp_mode;
};
struct adc_oneshot_chan_cfg_t {
  adc_atten_t atten;
  adc_bitwidth_t bitwidth;
};
struct adc_cali_line_fitting_config_t {
  adc_unit_t unit_id;
  adc_atten_t atten;
  adc_bitwidth_t bitwidth;
  uint32_t default_vref;
};
esp_err_t adc_oneshot_new_unit(const adc_oneshot_unit_init_cfg_t *config,
                               adc_oneshot_unit_handle_t *unit);
esp_err_t adc_oneshot_io_to_channel(int pin, adc_unit_t *unit, adc_channel_t *channel);
esp_err_t adc_oneshot_config_channel(adc_oneshot_unit_handle_t unit, adc_channel_t channel,
                                     const adc_oneshot_chan_cfg_t *config);
esp_err_t adc_oneshot_read(adc_oneshot_unit_handle_t unit, adc_channel_t channel, int *raw);
esp_err_t adc_cali_create_scheme_line_fitting(const adc_cali_line_fitting_config_t *config,
                                              adc_cali_handle_t *scheme);
esp_err_t adc_cali_raw_to_voltage(adc_cali_handle_t scheme, int raw, int *millivolts);

/* NVS */
typedef uint32_t nvs_handle_t;
enum nvs_open_mode_t { NVS_READONLY, NVS_READWRITE };
esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *storage);
esp_err_t nvs_get_u16(nvs_handle_t storage, const char *key, uint16_t *value);
esp_err_t nvs_set_u16(nvs_handle_t storage, const char *key, uint16_t value);
esp_err_t nvs_commit(nvs_handle_t storage);
void nvs_close(nvs_handle_t storage);

/* System, time, watchdog */
enum esp_reset_reason_t {
  ESP_RST_UNKNOWN,
  ESP_RST_POWERON,
  ESP_RST_EXT,
  ESP_RST_SW,
  ESP_RST_PANIC,
  ESP_RST_INT_WDT,
  ESP_RST_TASK_WDT,
  ESP_RST_WDT,
  ESP_RST_DEEPSLEEP,
  ESP_RST_BROWNOUT,
};
esp_reset_reason_t esp_reset_reason();
void esp_restart();
esp_err_t esp_register_shutdown_handler(void (*handler)());
extern "C" int64_t esp_timer_get_time();
uint32_t rtc_clk_slow_freq_get_hz();
enum wdt_inst_t { WDT_MWDT0, WDT_MWDT1, WDT_RWDT };
enum wdt_stage_t { WDT_STAGE0, WDT_STAGE1, WDT_STAGE2, WDT_STAGE3 };
enum wdt_stage_action_t {
  WDT_STAGE_ACTION_OFF,
  WDT_STAGE_ACTION_INT,
  WDT_STAGE_ACTION_RESET_CPU,
  WDT_STAGE_ACTION_RESET_SYSTEM,
  WDT_STAGE_ACTION_RESET_RTC,
};
struct wdt_hal_context_t {
  wdt_inst_t inst;
  void *rwdt_dev;
};
void wdt_hal_init(wdt_hal_context_t *hal, wdt_inst_t inst, uint32_t prescaler, bool interrupt);
void wdt_hal_config_stage(wdt_hal_context_t *hal, wdt_stage_t stage, uint32_t ticks,
                          wdt_stage_action_t action);
void wdt_hal_write_protect_disable(wdt_hal_context_t *hal);
void wdt_hal_write_protect_enable(wdt_hal_context_t *hal);
void wdt_hal_enable(wdt_hal_context_t *hal);
void wdt_hal_disable(wdt_hal_context_t *hal);
void wdt_hal_feed(wdt_hal_context_t *hal);

/* What ESPHome's own headers name beyond that; nothing here calls it. */
#define MALLOC_CAP_8BIT 1
#define MALLOC_CAP_INTERNAL 2
#define MALLOC_CAP_SPIRAM 4
#define portTICK_PERIOD_MS 1
#define pdMS_TO_TICKS(ms) (ms)
size_t heap_caps_get_free_size(uint32_t capabilities);
size_t heap_caps_get_largest_free_block(uint32_t capabilities);
BaseType_t xPortInIsrContext();
void vPortYield();
esp_err_t esp_task_wdt_reset();
uint32_t esp_cpu_get_cycle_count();
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken);
SemaphoreHandle_t xSemaphoreCreateMutex();
BaseType_t xSemaphoreTake(SemaphoreHandle_t mutex, TickType_t wait);
BaseType_t xSemaphoreGive(SemaphoreHandle_t mutex);

/* esp-mqtt */
typedef const char *esp_event_base_t;
typedef struct StandInClient *esp_mqtt_client_handle_t;
typedef void (*esp_event_handler_t)(void *argument, esp_event_base_t base, int32_t id, void *data);
enum esp_mqtt_event_id_t {
  MQTT_EVENT_ANY = -1,
  MQTT_EVENT_ERROR = 0,
  MQTT_EVENT_CONNECTED,
  MQTT_EVENT_DISCONNECTED,
  MQTT_EVENT_SUBSCRIBED,
  MQTT_EVENT_UNSUBSCRIBED,
  MQTT_EVENT_PUBLISHED,
  MQTT_EVENT_DATA,
};
enum esp_mqtt_transport_t { MQTT_TRANSPORT_UNKNOWN, MQTT_TRANSPORT_OVER_TCP, MQTT_TRANSPORT_OVER_SSL };
enum esp_mqtt_protocol_ver_t { MQTT_PROTOCOL_UNDEFINED, MQTT_PROTOCOL_V_3_1, MQTT_PROTOCOL_V_3_1_1 };
struct esp_mqtt_event_t {
  esp_mqtt_event_id_t event_id;
  esp_mqtt_client_handle_t client;
  char *data;
  int data_len;
  int total_data_len;
  int current_data_offset;
  char *topic;
  int topic_len;
  int msg_id;
  int session_present;
  bool retain;
  int qos;
  bool dup;
};
struct esp_mqtt_client_config_t {
  struct {
    struct {
      const char *uri;
      const char *hostname;
      esp_mqtt_transport_t transport;
      const char *path;
      uint32_t port;
    } address;
    struct {
      const char *certificate;
      size_t certificate_len;
      bool skip_cert_common_name_check;
    } verification;
  } broker;
  struct {
    const char *username;
    const char *client_id;
    bool set_null_client_id;
    struct {
      const char *password;
    } authentication;
  } credentials;
  struct {
    struct {
      const char *topic;
      const char *msg;
      int msg_len;
      int qos;
      int retain;
    } last_will;
    bool disable_clean_session;
    int keepalive;
    bool disable_keepalive;
    esp_mqtt_protocol_ver_t protocol_ver;
  } session;
  struct {
    int reconnect_timeout_ms;
    int timeout_ms;
    bool disable_auto_reconnect;
  } network;
};
esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *config);
esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t client);
esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t event,
                                         esp_event_handler_t handler, void *argument);
int esp_mqtt_client_subscribe(esp_mqtt_client_handle_t client, const char *topic, int qos);
int esp_mqtt_client_publish(esp_mqtt_client_handle_t client, const char *topic, const char *data,
                            int size, int qos, int retain);
