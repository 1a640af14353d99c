/* An emulated ATmega328P: see chip.h. */
#include "chip.h"

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <avr_adc.h>
#include <avr_eeprom.h>
#include <avr_extint.h>
#include <avr_ioport.h>
#include <avr_timer.h>
#include <avr_uart.h>
#include <avr_watchdog.h>
#include <sim_avr.h>
#include <sim_core.h>

#include "massager.h"

enum {
    FREQUENCY = 16000000,
    CYCLES_A_MS = FREQUENCY / 1000,
    SUPPLY_MV = 5000,
    /* Data addresses and bits of the ATmega328P. */
    GPIOR0_AT = 0x3E,
    MCUSR_AT = 0x54,
    TIMSK0_AT = 0x6E,
    OCIE0A_BIT = 1,
    TIMER0_COMPA_VECTOR = 14,
    TCCR0B_AT = 0x45,
    PORTB_AT = 0x25,
    PORTC_AT = 0x28,
    PORTD_AT = 0x2B,
    TCCR1A_AT = 0x80,
    TCCR1B_AT = 0x81,
    OCR1AL_AT = 0x88,
    OCR1AH_AT = 0x89,
    COM1A_MASK = 0xC0,
    PWM_TOP = 511,
    PWM_CYCLES = 512,
    WATCHED_CYCLES = 4 * PWM_CYCLES, /* of the motor's pin, after each change of its timer */
    UCSR0A_AT = 0xC0,
    U2X0_BIT = 1,
    UCSR0B_AT = 0xC1,
    UDRIE0_BIT = 5,
    UBRR0L_AT = 0xC4,
    UBRR0H_AT = 0xC5,
    RAM_FROM = 0x100,
    RAM_BYTES = 2048,
    PAINT = 0xC5, /* what RAM holds after power came; a stack that went there leaves another */
    LOST_AT = 0x7FE0, /* an endless loop lies here, behind every program */
    UART_HOLDS = 3, /* bytes that a real UART keeps unread: two, and the one in its shift register */

    EEPROM_BYTES = 1024,
    LINE_BYTES = 1024, /* a power of two */
    ADC_CHANNELS = 8,
    PINS = 4,
    BITS_A_BYTE = 10,
};

struct line {
    uint8_t byte[LINE_BYTES];
    uint64_t at[LINE_BYTES];
    uint32_t first;
    uint32_t count;
};

struct input {
    char port;
    uint8_t bit;
    uint8_t level;
};

struct chip {
    avr_t *avr;
    avr_uart_t *uart;
    avr_timer_t *pwm;
    uint32_t pwm_settings; /* what the motor's timer was told last */
    avr_io_t resets; /* tells of every reset */
    struct recorder recorder;
    uint16_t device;
    bool was_reset;
    bool is_frozen;
    bool is_ticking; /* the program wants the tick's interrupt */
    uint32_t halted;

    uint64_t boot_ms;
    bool goes_by_cycles;
    uint64_t device_ms;
    uint64_t steps;
    uint64_t stop_step; /* 0 = none */

    struct line down; /* to the chip; `at` is when its last bit is there */
    struct line up;   /* the first `came_out` of them have left it */
    uint32_t came_out;
    uint8_t last_out;
    uint32_t overruns;

    struct input inputs[PINS];
    uint8_t inputs_count;
    uint32_t adc_mv[ADC_CHANNELS];
    struct input motion;
    uint64_t pulse;

    struct chip_pin pin;
    uint64_t rose_at;
    uint64_t fell_at;
    uint8_t whole_rises; /* since the timer was changed */
    uint64_t watched_until;
    bool is_new;    /* the timer was changed, and no whole period seen since */
    bool is_parked; /* the timer goes on by itself, unseen */
    bool every_edge;

    bool is_watched;
    bool is_booting; /* interrupts have not been on since the reset */
    uint64_t off_since;
    uint32_t off_pc;
    uint64_t longest_off;
    uint32_t longest_off_pc;
};

/* --- small things ------------------------------------------------------------------------------ */

static void silent(struct avr_t *avr, const int level, const char *format, va_list arguments)
{
    (void)avr;
    (void)level;
    (void)format;
    (void)arguments;
}

static void sleep_not(avr_t *avr, avr_cycle_count_t how_long)
{
    (void)avr;
    (void)how_long;
}

static void line_put(struct line *line, uint8_t byte, uint64_t at)
{
    if (line->count < LINE_BYTES) {
        uint32_t last = (line->first + line->count) % LINE_BYTES;
        line->byte[last] = byte;
        line->at[last] = at;
        line->count++;
    }
}

static void line_drop_first(struct line *line)
{
    line->first = (line->first + 1) % LINE_BYTES;
    line->count--;
}

static uint64_t line_end(const struct line *line)
{
    return line->count == 0 ? 0 : line->at[(line->first + line->count - 1) % LINE_BYTES];
}

/* End the piece of instructions that simavr runs in one go. */
static void halt(struct chip *chip, uint32_t why)
{
    chip->halted |= why;
    chip->avr->run_cycle_count = 0;
}

static void at_cycle(struct chip *chip, uint64_t when, avr_cycle_timer_t timer)
{
    uint64_t now = chip->avr->cycle;
    avr_cycle_timer_register(chip->avr, when > now ? when - now : 1, timer, chip);
}

static uint64_t cycles_a_byte(const struct chip *chip)
{
    const uint8_t *data = chip->avr->data;
    uint64_t divider = (uint64_t)(data[UBRR0L_AT] | (data[UBRR0H_AT] & 0x0F) << 8) + 1;
    return divider * ((data[UCSR0A_AT] >> U2X0_BIT & 1) != 0 ? 8 : 16) * BITS_A_BYTE;
}

/* --- the line ---------------------------------------------------------------------------------- */

static avr_cycle_count_t byte_arrives(avr_t *avr, avr_cycle_count_t when, void *context)
{
    struct chip *chip = context;
    struct line *down = &chip->down;
    avr_uart_t *uart = chip->uart;
    uint16_t waiting =
        (uint16_t)(uart->input.write - uart->input.read) & (uint16_t)(uart_fifo_fifo_size - 1);
    (void)avr;
    (void)when;
    if (waiting >= UART_HOLDS) {
        chip->overruns++;
    } else {
        /* simavr would let the byte take its time once more; it has travelled already. */
        uart->cycles_per_byte = 1;
        avr_raise_irq(uart->io.irq + UART_IRQ_INPUT, down->byte[down->first]);
        uart->cycles_per_byte = cycles_a_byte(chip);
    }
    line_drop_first(down);
    if (down->count != 0) {
        at_cycle(chip, down->at[down->first], byte_arrives);
    }
    return 0;
}

uint32_t chip_send(struct chip *chip, const uint8_t *data, uint32_t size)
{
    uint64_t byte_cycles = cycles_a_byte(chip);
    uint64_t at = line_end(&chip->down);
    uint32_t taken = 0;
    bool was_idle = chip->down.count == 0;
    if (at < chip->avr->cycle) {
        at = chip->avr->cycle;
    }
    while (taken < size && chip->down.count < LINE_BYTES) {
        at += byte_cycles;
        line_put(&chip->down, data[taken++], at);
    }
    if (was_idle && taken != 0) {
        at_cycle(chip, chip->down.at[chip->down.first], byte_arrives);
    }
    return taken;
}

uint32_t chip_unsent(const struct chip *chip)
{
    return chip->down.count == 0 ? 0 : chip->down.count - 1; /* one is on its way */
}

void chip_discard_unsent(struct chip *chip)
{
    if (chip->down.count > 1) {
        chip->down.count = 1;
    }
}

uint64_t chip_sent_at(const struct chip *chip)
{
    return chip->down.count == 0 ? chip->avr->cycle : line_end(&chip->down);
}

uint32_t chip_overruns(const struct chip *chip)
{
    return chip->overruns;
}

static avr_cycle_count_t byte_is_out(avr_t *avr, avr_cycle_count_t when, void *context)
{
    struct chip *chip = context;
    struct line *up = &chip->up;
    uint8_t byte = up->byte[(up->first + chip->came_out) % LINE_BYTES];
    (void)avr;
    (void)when;
    chip->came_out++;
    if (byte == 0 && chip->last_out != 0) {
        halt(chip, CHIP_HALT_FRAME);
    }
    chip->last_out = byte;
    if (chip->came_out < up->count) {
        at_cycle(chip, up->at[(up->first + chip->came_out) % LINE_BYTES], byte_is_out);
    }
    return 0;
}

static void byte_is_written(struct avr_irq_t *irq, uint32_t value, void *context)
{
    struct chip *chip = context;
    uint64_t at = line_end(&chip->up);
    (void)irq;
    if (at < chip->avr->cycle) {
        at = chip->avr->cycle;
    }
    at += cycles_a_byte(chip);
    /* simavr counts a parity bit that is not there. */
    chip->uart->cycles_per_byte = cycles_a_byte(chip);
    line_put(&chip->up, (uint8_t)value, at);
    if (chip->came_out + 1 == chip->up.count) {
        at_cycle(chip, at, byte_is_out);
    }
}

uint32_t chip_take(struct chip *chip, uint8_t *data, uint64_t *at, uint32_t size)
{
    uint32_t taken = 0;
    while (taken < size && chip->came_out != 0) {
        data[taken] = chip->up.byte[chip->up.first];
        at[taken] = chip->up.at[chip->up.first];
        line_drop_first(&chip->up);
        chip->came_out--;
        taken++;
    }
    return taken;
}

/* --- the motor's pin --------------------------------------------------------------------------- */

/* The timer drives the pin for the whole period: it is high. simavr has it low then. */
static bool is_full(const struct chip *chip)
{
    const uint8_t *data = chip->avr->data;
    return chip->pin.on_timer != 0 && (data[OCR1AL_AT] | data[OCR1AH_AT] << 8) == PWM_TOP;
}

static void pin_changes(struct avr_irq_t *irq, uint32_t value, void *context)
{
    struct chip *chip = context;
    struct chip_pin *pin = &chip->pin;
    uint64_t now = chip->avr->cycle;
    uint8_t level = is_full(chip) ? 1 : (uint8_t)(value & 1u);
    (void)irq;
    if (level == pin->level) {
        return;
    }
    pin->level = level;
    if (level != 0) {
        /* simavr begins the period in which the timer is written to anew: it is none. */
        if (chip->whole_rises > 1 && chip->fell_at > chip->rose_at) {
            pin->period = now - chip->rose_at;
            pin->high = chip->fell_at - chip->rose_at;
            chip->is_new = false;
        }
        if (chip->whole_rises < UINT8_MAX) {
            chip->whole_rises++;
        }
        chip->rose_at = now;
        pin->rises++;
    } else {
        chip->fell_at = now;
        if (now - chip->rose_at > pin->longest_high) {
            pin->longest_high = now - chip->rose_at;
        }
    }
}

/* The timer was written to, and simavr has seen it. */
static void timer_is_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *context)
{
    struct chip *chip = context;
    uint8_t on_timer = (avr->data[TCCR1A_AT] & COM1A_MASK) != 0 ? 1 : 0;
    uint32_t settings;
    (void)address;
    (void)value;
    if (on_timer == 0 && chip->pin.on_timer != 0) {
        /* It lets go of the pin, which is what the port says from now on. simavr leaves it. */
        chip->pin.on_timer = 0;
        avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), IOPORT_IRQ_PIN1),
                      avr->data[PORTB_AT] >> 1 & 1u);
        pin_changes(NULL, avr->data[PORTB_AT] >> 1 & 1u, chip);
    }
    chip->pin.on_timer = on_timer;
    settings = avr->data[TCCR1A_AT] | (uint32_t)avr->data[TCCR1B_AT] << 8 |
               (uint32_t)avr->data[OCR1AL_AT] << 16 | (uint32_t)avr->data[OCR1AH_AT] << 24;
    if (settings == chip->pwm_settings) {
        return; /* what is as it was is no change for simavr either */
    }
    chip->pwm_settings = settings;
    chip->is_parked = false;
    chip->is_new = true;
    chip->whole_rises = 0;
    chip->watched_until = avr->cycle + WATCHED_CYCLES;
    if (is_full(chip)) {
        pin_changes(NULL, 1, chip);
    }
}

/* Between two changes of the timer one period is like another, and simavr's 62,500 events a second
 * would be most of what there is to do: four periods are looked at, then none. */
static void park_pwm(struct chip *chip)
{
    avr_cycle_timer_slot_p slot = chip->avr->cycle_timers.timer;
    while (slot != NULL) {
        avr_cycle_timer_slot_p next = slot->next;
        if (slot->param == chip->pwm) {
            avr_cycle_timer_cancel(chip->avr, slot->timer, slot->param);
        }
        slot = next;
    }
    if (chip->is_new) { /* without an edge it is constant */
        chip->pin.period = PWM_CYCLES;
        chip->pin.high = chip->pin.level != 0 ? PWM_CYCLES : 0;
        chip->is_new = false;
    }
    chip->is_parked = true;
}

/* As if the timer had gone on, for when it is written to. */
static void keep_parked(struct chip *chip)
{
    uint64_t passed = chip->avr->cycle - chip->pwm->tov_base;
    chip->pwm->tov_base += passed - passed % PWM_CYCLES;
}

void chip_watch_pin(struct chip *chip, bool every_edge)
{
    struct chip_pin *pin = &chip->pin;
    pin->longest_high = 0;
    pin->rises = 0;
    chip->every_edge = every_edge;
}

void chip_pin(const struct chip *chip, struct chip_pin *pin)
{
    *pin = chip->pin;
    pin->is_known = chip->is_new ? 0 : 1;
}

/* --- the pins that are read -------------------------------------------------------------------- */

static uint8_t port_register(char port)
{
    return port == 'B' ? PORTB_AT : port == 'C' ? PORTC_AT : PORTD_AT;
}

static void apply_inputs(struct chip *chip)
{
    for (uint8_t i = 0; i < chip->inputs_count; i++) {
        const struct input *input = &chip->inputs[i];
        avr_ioport_external_t outside = {.name = (unsigned)input->port & 0x7Fu};
        uint32_t level = input->level == CHIP_HIGH ? 1 : 0;
        if (input->level == CHIP_OPEN) {
            level = chip->avr->data[port_register(input->port)] >> input->bit & 1u;
        }
        for (uint8_t j = 0; j < chip->inputs_count; j++) {
            const struct input *other = &chip->inputs[j];
            if (other->port == input->port && other->level != CHIP_OPEN) {
                outside.mask |= 1u << other->bit & 0xFFu;
                outside.value |= (other->level == CHIP_HIGH ? 1u : 0u) << other->bit & 0xFFu;
            }
        }
        avr_ioctl(chip->avr, (uint32_t)AVR_IOCTL_IOPORT_SET_EXTERNAL(input->port), &outside);
        avr_raise_irq(avr_io_getirq(chip->avr, (uint32_t)AVR_IOCTL_IOPORT_GETIRQ(input->port),
                                    input->bit),
                      level);
    }
}

void chip_set_pin(struct chip *chip, char port, uint8_t bit, uint8_t level)
{
    uint8_t i = 0;
    while (i < chip->inputs_count &&
           (chip->inputs[i].port != port || chip->inputs[i].bit != bit)) {
        i++;
    }
    if (i == PINS) {
        return;
    }
    if (i == chip->inputs_count) {
        chip->inputs_count++;
    }
    chip->inputs[i] = (struct input){.port = port, .bit = bit, .level = level};
    apply_inputs(chip);
}

void chip_set_adc(struct chip *chip, uint8_t channel, uint32_t millivolts)
{
    if (channel < ADC_CHANNELS) {
        chip->adc_mv[channel] = millivolts;
        avr_raise_irq(avr_io_getirq(chip->avr, (uint32_t)AVR_IOCTL_ADC_GETIRQ, channel),
                      millivolts);
    }
}

static avr_cycle_count_t motion_changes(avr_t *avr, avr_cycle_count_t when, void *context)
{
    struct chip *chip = context;
    struct input *motion = &chip->motion;
    (void)avr;
    if (chip->pulse == 0) {
        return 0;
    }
    motion->level = motion->level == CHIP_HIGH ? CHIP_LOW : CHIP_HIGH;
    chip_set_pin(chip, motion->port, motion->bit, motion->level);
    return when + chip->pulse;
}

void chip_set_pulse(struct chip *chip, char port, uint8_t bit, uint64_t pulse)
{
    bool stood = chip->pulse == 0;
    chip->motion.port = port;
    chip->motion.bit = bit;
    chip->pulse = pulse;
    if (stood && pulse != 0) {
        at_cycle(chip, chip->avr->cycle + pulse, motion_changes);
    }
}

/* --- what the chip tells ----------------------------------------------------------------------- */

static void note_is_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *context)
{
    struct chip *chip = context;
    struct massager_now now;
    avr->data[address] = value;
    memcpy(&now, avr->data + chip->device, sizeof now);
    if (value == MASSAGER_NOTE_BOOT) {
        chip->boot_ms = chip->goes_by_cycles ? avr->cycle / CYCLES_A_MS : chip->device_ms;
    }
    chip->device_ms = chip->boot_ms + now.uptime_ms;
    recorder_note(&chip->recorder, chip->device_ms, &now, value);
    if (value == MASSAGER_NOTE_STEP && ++chip->steps == chip->stop_step) {
        chip_freeze(chip, true);
        halt(chip, CHIP_HALT_STEP);
    }
}

struct recorder *chip_recorder(struct chip *chip)
{
    return &chip->recorder;
}

void chip_go_by_cycles(struct chip *chip)
{
    chip->goes_by_cycles = true;
}

uint64_t chip_device_ms(const struct chip *chip)
{
    return chip->device_ms;
}

void chip_stop_after_steps(struct chip *chip, uint32_t steps)
{
    chip->stop_step = steps == 0 ? 0 : chip->steps + steps;
}

uint64_t chip_steps(const struct chip *chip)
{
    return chip->steps;
}

void chip_freeze(struct chip *chip, bool is_frozen)
{
    avr_int_table_t *interrupts = &chip->avr->interrupts;
    uint8_t *mask = &chip->avr->data[TIMSK0_AT];
    for (uint8_t i = 0; i < interrupts->vector_count; i++) {
        if (interrupts->vector[i]->vector == TIMER0_COMPA_VECTOR) {
            avr_clear_interrupt(chip->avr, interrupts->vector[i]);
        }
    }
    avr_ioctl(chip->avr, (uint32_t)AVR_IOCTL_WATCHDOG_RESET, NULL);
    *mask = (uint8_t)(*mask & ~(1u << OCIE0A_BIT));
    if (chip->is_ticking && !is_frozen) {
        *mask = (uint8_t)(*mask | 1u << OCIE0A_BIT);
    }
    chip->is_frozen = is_frozen;
}

static void tick_is_set(avr_t *avr, avr_io_addr_t address, uint8_t value, void *context)
{
    struct chip *chip = context;
    chip->is_ticking = (value >> OCIE0A_BIT & 1) != 0;
    avr->data[address] = chip->is_frozen ? (uint8_t)(value & ~(1u << OCIE0A_BIT)) : value;
}

/* --- life -------------------------------------------------------------------------------------- */

static void is_reset(struct avr_io_t *io)
{
    struct chip *chip = (struct chip *)((uint8_t *)io - offsetof(struct chip, resets));
    chip->was_reset = true;
}

/* After a reset simavr has forgotten what is outside the chip. */
static void settle_reset(struct chip *chip)
{
    avr_t *avr = chip->avr;
    avr_irq_t *motor = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), IOPORT_IRQ_PIN1);
    uint32_t no_flags = 0; /* no printing, and no waiting where the program polls */
    /* A pin that was constantly high had no edge to come down with. */
    chip->pin.on_timer = 0;
    chip->pwm_settings = 0;
    pin_changes(NULL, 0, chip);
    chip->was_reset = false;
    chip->is_ticking = false;
    chip->is_booting = true;
    chip->off_since = 0;
    avr->interrupt_state = 0;
    avr->run_cycle_limit = chip->is_watched ? 1 : FREQUENCY;
    avr->state = cpu_Running;
    /* Or simavr looks at every cycle whether the pins of INT0 and INT1, unused here, are still low. */
    avr_extint_set_strict_lvl_trig(avr, 0, 0);
    avr_extint_set_strict_lvl_trig(avr, 1, 0);
    avr_ioctl(avr, (uint32_t)AVR_IOCTL_UART_SET_FLAGS('0'), &no_flags);
    avr_irq_register_notify(motor, pin_changes, chip);
    avr_irq_register_notify(
        avr_io_getirq(avr, (uint32_t)AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), byte_is_written,
        chip);
    avr_raise_irq(motor, 0); /* not driven: the resistor at the gate pulls it down */
    chip->pin.on_timer = 0;
    chip->pwm_settings = 0;
    chip->is_parked = false;
    chip->is_new = true;
    chip->watched_until = avr->cycle + WATCHED_CYCLES;
    apply_inputs(chip);
    for (uint8_t channel = 0; channel < ADC_CHANNELS; channel++) {
        chip_set_adc(chip, channel, chip->adc_mv[channel]);
    }
    if (chip->pulse != 0) {
        at_cycle(chip, avr->cycle + chip->pulse, motion_changes);
    }
    /* What was on its way to the host broke off; what comes from the host still comes. */
    chip->up.count = chip->came_out;
    if (chip->down.count != 0) {
        at_cycle(chip, chip->down.at[chip->down.first], byte_arrives);
    }
    chip->halted |= CHIP_HALT_RESET;
}

struct chip *chip_new(const uint8_t *flash, uint32_t size, uint16_t device)
{
    static const uint8_t endless_loop[] = {0xFF, 0xCF}; /* rjmp to itself */
    struct chip *chip = calloc(1, sizeof *chip);
    avr_t *avr;
    avr_io_t *io;
    avr_global_logger_set(silent);
    avr = chip == NULL ? NULL : avr_make_mcu_by_name("atmega328p");
    if (avr == NULL) {
        free(chip);
        return NULL;
    }
    avr_init(avr);
    avr->frequency = FREQUENCY;
    avr->vcc = avr->avcc = avr->aref = SUPPLY_MV;
    avr->sleep = sleep_not;
    avr_loadcode(avr, (uint8_t *)(uintptr_t)flash, size, 0);
    avr_loadcode(avr, (uint8_t *)(uintptr_t)endless_loop, sizeof endless_loop, LOST_AT);
    for (io = avr->io_port; io != NULL; io = io->next) {
        if (strcmp(io->kind, "uart") == 0) {
            chip->uart = (avr_uart_t *)io;
        } else if (strcmp(io->kind, "timer") == 0 && ((avr_timer_t *)io)->name == '1') {
            chip->pwm = (avr_timer_t *)io;
        }
    }
    chip->avr = avr;
    chip->device = device;
    chip->resets.kind = "resets";
    chip->resets.reset = is_reset;
    avr_register_io(avr, &chip->resets);
    avr_register_io_write(avr, GPIOR0_AT, note_is_written, chip);
    avr_register_io_write(avr, TIMSK0_AT, tick_is_set, chip);
    avr_register_io_write(avr, TCCR1A_AT, timer_is_written, chip);
    avr_register_io_write(avr, TCCR1B_AT, timer_is_written, chip);
    avr_register_io_write(avr, OCR1AL_AT, timer_is_written, chip);
    chip_reset(chip, 0);
    return chip;
}

void chip_free(struct chip *chip)
{
    if (chip != NULL) {
        recorder_free(&chip->recorder);
        avr_terminate(chip->avr);
        free(chip->avr);
        free(chip);
    }
}

void chip_reset(struct chip *chip, uint8_t mcusr)
{
    avr_reset(chip->avr);
    settle_reset(chip);
    memset(chip->avr->data + RAM_FROM, PAINT, RAM_BYTES);
    chip->avr->data[MCUSR_AT] = mcusr;
    chip->halted = 0;
}

bool chip_is_busy(const struct chip *chip)
{
    bool sends = (chip->avr->data[UCSR0B_AT] >> UDRIE0_BIT & 1) != 0;
    bool has_read = chip->uart->input.read == chip->uart->input.write;
    return sends || !has_read || chip->down.count != 0 || chip->came_out != chip->up.count;
}

static bool is_quiet(const struct chip *chip)
{
    return chip->avr->state == cpu_Sleeping && !chip_is_busy(chip);
}

static void watch_interrupts(struct chip *chip, uint32_t pc)
{
    const avr_t *avr = chip->avr;
    if (avr->sreg[S_I] == 0) {
        if (chip->off_since == 0 && !chip->is_booting) {
            chip->off_since = avr->cycle;
            chip->off_pc = pc;
        }
        return;
    }
    chip->is_booting = false;
    if (chip->off_since != 0 && avr->cycle - chip->off_since > chip->longest_off) {
        chip->longest_off = avr->cycle - chip->off_since;
        chip->longest_off_pc = chip->off_pc;
    }
    chip->off_since = 0;
}

static avr_cycle_count_t do_nothing(avr_t *avr, avr_cycle_count_t when, void *context)
{
    (void)avr;
    (void)when;
    (void)context;
    return 0;
}

uint32_t chip_run(struct chip *chip, uint64_t until, uint32_t halts)
{
    avr_t *avr = chip->avr;
    chip->halted = 0;
    if (chip->is_frozen) {
        avr_ioctl(avr, (uint32_t)AVR_IOCTL_WATCHDOG_RESET, NULL);
    }
    at_cycle(chip, until, do_nothing); /* no piece of running or sleeping goes beyond it */
    while (avr->cycle < until) {
        uint32_t pc = avr->pc;
        if (chip->is_watched) {
            avr->run_cycle_count = 1;
        }
        avr_run(avr);
        if (chip->was_reset) {
            settle_reset(chip);
            return CHIP_HALT_RESET;
        }
        if (avr->state == cpu_Crashed || avr->state == cpu_Done) {
            return CHIP_HALT_CRASH;
        }
        if (chip->is_watched) {
            watch_interrupts(chip, pc);
        }
        if (chip->is_parked) {
            keep_parked(chip);
        } else if (!chip->every_edge && avr->cycle >= chip->watched_until) {
            park_pwm(chip);
        }
        if ((chip->halted & halts) != 0) {
            break;
        }
        if ((halts & CHIP_HALT_QUIET) != 0 && is_quiet(chip)) {
            chip->halted |= CHIP_HALT_QUIET;
            break;
        }
    }
    avr_cycle_timer_cancel(avr, do_nothing, chip);
    return chip->halted & halts;
}

uint64_t chip_cycle(const struct chip *chip)
{
    return chip->avr->cycle;
}

void chip_skip(struct chip *chip, uint64_t cycles)
{
    chip->avr->cycle += cycles;
}

/* --- memory and mischief ----------------------------------------------------------------------- */

void chip_read(const struct chip *chip, uint16_t address, uint8_t *data, uint16_t size)
{
    memcpy(data, chip->avr->data + address, size);
}

void chip_write(struct chip *chip, uint16_t address, const uint8_t *data, uint16_t size)
{
    memcpy(chip->avr->data + address, data, size);
}

void chip_read_eeprom(const struct chip *chip, uint16_t address, uint8_t *data, uint16_t size)
{
    avr_eeprom_desc_t piece = {.ee = data, .offset = address, .size = size};
    avr_ioctl(chip->avr, (uint32_t)AVR_IOCTL_EEPROM_GET, &piece);
}

void chip_write_eeprom(struct chip *chip, uint16_t address, const uint8_t *data, uint16_t size)
{
    avr_eeprom_desc_t piece = {
        .ee = (uint8_t *)(uintptr_t)data, .offset = address, .size = size};
    avr_ioctl(chip->avr, (uint32_t)AVR_IOCTL_EEPROM_SET, &piece);
}

void chip_hang(struct chip *chip, uint32_t how)
{
    avr_t *avr = chip->avr;
    if (how == CHIP_HANG_TICK) {
        avr_core_watch_write(avr, TCCR0B_AT, 0);
        avr->data[TIMSK0_AT] = 0;
        return;
    }
    avr->pc = LOST_AT;
    avr->state = cpu_Running;
    if (how == CHIP_HANG_DEAF) {
        avr_sreg_set(avr, S_I, 0);
    }
}

void chip_watch_interrupts(struct chip *chip, bool is_watched)
{
    chip->is_watched = is_watched;
    chip->avr->run_cycle_limit = is_watched ? 1 : (avr_cycle_count_t)FREQUENCY;
    chip->off_since = 0;
    chip->longest_off = 0;
    chip->longest_off_pc = 0;
}

uint64_t chip_longest_off(const struct chip *chip, uint32_t *pc)
{
    *pc = chip->longest_off_pc;
    return chip->longest_off;
}

/* --- saving and loading ------------------------------------------------------------------------ */

struct chip_state {
    struct chip chip;
    uint8_t *avr; /* simavr's, with all its parts in it; what it points to stays where it is */
    uint8_t data[RAM_FROM + RAM_BYTES];
    uint8_t eeprom[EEPROM_BYTES];
    uint32_t *irqs;
};

struct chip_state *chip_save(const struct chip *chip)
{
    const avr_t *avr = chip->avr;
    const avr_irq_pool_t *pool = &avr->irq_pool;
    size_t avr_size = malloc_usable_size(chip->avr);
    struct chip_state *state = calloc(1, sizeof *state);
    state->chip = *chip;
    state->avr = malloc(avr_size);
    memcpy(state->avr, avr, avr_size);
    memcpy(state->data, avr->data, sizeof state->data);
    chip_read_eeprom(chip, 0, state->eeprom, EEPROM_BYTES);
    state->irqs = calloc((size_t)pool->count, 2 * sizeof *state->irqs);
    for (int i = 0; i < pool->count; i++) {
        if (pool->irq[i] != NULL) {
            state->irqs[2 * i] = pool->irq[i]->value;
            state->irqs[2 * i + 1] = pool->irq[i]->flags;
        }
    }
    return state;
}

void chip_load(struct chip *chip, const struct chip_state *state)
{
    struct recorder recorder = chip->recorder;
    avr_t *avr = chip->avr;
    const avr_irq_pool_t *pool = &avr->irq_pool;
    memcpy(avr, state->avr, malloc_usable_size(avr));
    memcpy(avr->data, state->data, sizeof state->data);
    chip_write_eeprom(chip, 0, state->eeprom, EEPROM_BYTES);
    for (int i = 0; i < pool->count; i++) {
        if (pool->irq[i] != NULL) {
            pool->irq[i]->value = state->irqs[2 * i];
            pool->irq[i]->flags = (uint8_t)state->irqs[2 * i + 1];
        }
    }
    *chip = state->chip;
    recorder.count = 0;
    recorder.row_ms = chip->recorder.row_ms;
    recorder.row_output = chip->recorder.row_output;
    chip->recorder = recorder;
}

void chip_state_free(struct chip_state *state)
{
    if (state != NULL) {
        free(state->avr);
        free(state->irqs);
        free(state);
    }
}
