/* The line to the host: UART 0 on D0 and D1 (the board's USB), 57,600 baud, 8N1, both ways by interrupt. */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stdint.h>

void uart_start(void);

/* How many received bytes wait, 0…64. More than 64 are lost, and their frames fail their CRC. */
uint8_t uart_received(void);

/* The oldest of them. Only where uart_received() is not 0. */
uint8_t uart_take(void);

/* One frame as a stream carries it, or nothing of it and false where the ring has no room for it. */
bool uart_send_frame(const uint8_t *frame, uint8_t size);

#endif
