#include "sensors.h"

#include <avr/io.h>

#include "config.h"
#include "thermistor.h"

enum {
    TEMPERATURE = 0, /* the converter's inputs */
    CURRENT = 1,
    INPUTS = 2,
    READINGS = THERMISTOR_READINGS,
    ROUND_MS = 10,
    FULL_SCALE = 1024,
    /* Readings that a thermistor between -40 and 150 °C cannot give: its wire is open or shorted. */
    LOWEST = 8,
    HIGHEST = 1015,
};

#define SUPPLY_IS_REFERENCE _BV(REFS0)
#define DIVIDED_BY_128 (_BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0)) /* 125 kHz: 104 µs for a reading */

static uint16_t readings[INPUTS][READINGS];
static uint8_t newest;   /* the place of this round's readings */
static uint8_t round_ms; /* 0…ROUND_MS - 1 */
static uint8_t misses;   /* conversions of this round that did not come to their end */

static void convert(uint8_t input)
{
    ADMUX = (uint8_t)(SUPPLY_IS_REFERENCE | input);
    ADCSRA = _BV(ADEN) | _BV(ADSC) | DIVIDED_BY_128;
}

static bool is_converting(void)
{
    return (ADCSRA & _BV(ADSC)) != 0;
}

/* A conversion is asked for in one millisecond and collected in the next: nobody waits for it. */
static void collect(uint8_t input)
{
    if (is_converting()) {
        misses++;
    } else {
        readings[input][newest] = ADC;
    }
}

void sensors_start(void)
{
    for (uint8_t input = 0; input < INPUTS; input++) {
        for (uint8_t time = 0; time < 2; time++) { /* the first after switching on is not exact */
            convert(input);
            while (is_converting()) { /* for ever is the watchdog's business */
            }
        }
        for (uint8_t place = 0; place < READINGS; place++) {
            readings[input][place] = ADC;
        }
    }
}

bool sensors_step(void)
{
    switch (round_ms) {
    case 0:
        convert(TEMPERATURE);
        break;
    case 1:
        collect(TEMPERATURE);
        break;
    case 2:
        convert(CURRENT);
        break;
    case 3:
        collect(CURRENT);
        break;
    default:
        break;
    }
    if (++round_ms < ROUND_MS) {
        return false;
    }
    bool are_new = misses == 0;
    misses = 0;
    round_ms = 0;
    newest = (uint8_t)((newest + 1u) % READINGS);
    return are_new;
}

static uint16_t sum_of(uint8_t input)
{
    uint16_t sum = 0;
    for (uint8_t place = 0; place < READINGS; place++) {
        sum = (uint16_t)(sum + readings[input][place]);
    }
    return sum;
}

int16_t sensors_temperature_dc(void)
{
    /* A short circuit must not pass through "hot" on its way into the mean. */
    for (uint8_t place = 0; place < READINGS; place++) {
        uint16_t reading = readings[TEMPERATURE][place];
        if (reading < LOWEST) {
            return THERMISTOR_TOO_HOT;
        }
        if (reading > HIGHEST) {
            return THERMISTOR_TOO_COLD;
        }
    }
    return thermistor_dc(sum_of(TEMPERATURE));
}

uint16_t sensors_current_ma(void)
{
    uint32_t scaled = (uint32_t)sum_of(CURRENT) * CURRENT_FULL_SCALE_MA;
    return (uint16_t)(scaled / ((uint32_t)READINGS * FULL_SCALE));
}
