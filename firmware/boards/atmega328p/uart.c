#include "uart.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <stddef.h>

#include "massager.h"

/* Powers of two: the positions count on and are cut where they are used, so full and empty differ. */
enum { RX_BYTES = 64, TX_BYTES = 128 };

#define ON (_BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0))

/* Each position is one byte with one writer, so neither side needs interrupts off. The bytes are
 * volatile as well, or the compiler could move them behind their position. */
static volatile uint8_t rx[RX_BYTES];
static volatile uint8_t rx_in;  /* by the interrupt */
static volatile uint8_t rx_out; /* by the loop */
static volatile uint8_t tx[TX_BYTES];
static volatile uint8_t tx_in;  /* by the loop */
static volatile uint8_t tx_out; /* by the interrupt */

ISR(USART_RX_vect)
{
    uint8_t byte = UDR0; /* of a damaged byte, too: its frame's CRC tells */
    uint8_t in = rx_in;
    if ((uint8_t)(in - rx_out) < RX_BYTES) {
        rx[in % RX_BYTES] = byte;
        rx_in = (uint8_t)(in + 1u);
    }
}

ISR(USART_UDRE_vect)
{
    uint8_t out = tx_out;
    if (out == tx_in) {
        UCSR0B = ON; /* nothing to send: this interrupt off */
        return;
    }
    UDR0 = tx[out % TX_BYTES];
    tx_out = (uint8_t)(out + 1u);
}

void uart_start(void)
{
    PORTD |= _BV(PORTD0); /* pull-up: an open line is quiet */
    UCSR0A = _BV(U2X0);
    UBRR0 = 34; /* 16 MHz / 8 / (34 + 1) = 57,143: 0.8 % slow */
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = ON;
}

uint8_t uart_received(void)
{
    return (uint8_t)(rx_in - rx_out);
}

uint8_t uart_take(void)
{
    uint8_t out = rx_out;
    uint8_t byte = rx[out % RX_BYTES];
    rx_out = (uint8_t)(out + 1u);
    return byte;
}

static void put(void *context, uint8_t byte)
{
    (void)context;
    uint8_t in = tx_in;
    tx[in % TX_BYTES] = byte;
    tx_in = (uint8_t)(in + 1u);
}

bool uart_send_frame(const uint8_t *frame, uint8_t size)
{
    uint8_t room = (uint8_t)(TX_BYTES - (uint8_t)(tx_in - tx_out)); /* it only grows meanwhile */
    if (room < size + 3u) {
        return false;
    }
    massager_put_stream(frame, size, put, NULL);
    UCSR0B = ON | _BV(UDRIE0);
    return true;
}
