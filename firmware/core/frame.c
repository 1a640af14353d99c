/* Frames: CRC-32, COBS and the receiving from a stream, section 2 of SPEC.md. */
#include "core.h"

enum {
    DROPPING = MASSAGER_ENCODED_MAX_BYTES + 1, /* candidate_size: too long, up to the delimiter */
};

static const uint32_t CRC_OF_A_PROTECTED_FRAME = 0x2144DF1Cul; /* its own CRC included (2.7) */

/* Bit by bit: a table would be faster and take 1 KB; the longest frame needs under 1 ms at 16 MHz. */
static uint32_t crc_of(const uint8_t *bytes, uint8_t size)
{
    uint32_t crc = 0xFFFFFFFFul;

    while (size-- != 0u) {
        crc ^= *bytes++;
        for (uint8_t bit = 0u; bit < 8u; bit++) {
            crc = (crc & 1u) != 0u ? (crc >> 1) ^ 0xEDB88320ul : crc >> 1;
        }
    }
    return crc ^ 0xFFFFFFFFul;
}

void frame_protect(uint8_t *raw, uint8_t size)
{
    uint32_t crc = crc_of(raw, size);

    for (uint8_t i = 0u; i < MASSAGER_CRC_BYTES; i++) {
        raw[size + i] = (uint8_t)crc;
        crc >>= 8;
    }
}

bool frame_is_good(const uint8_t *frame, uint16_t size)
{
    return size >= MASSAGER_RAW_MIN_BYTES && size <= MASSAGER_RAW_MAX_BYTES &&
           crc_of(frame, (uint8_t)size) == CRC_OF_A_PROTECTED_FRAME;
}

/* COBS decoding in place, which works since it only ever gets shorter (2.10). 0: not decodable. */
static uint8_t decode_in_place(uint8_t *bytes, uint8_t size)
{
    uint8_t from = 0u;
    uint8_t to = 0u;

    while (from < size) {
        uint8_t end = (uint8_t)(from + bytes[from]); /* no code is 0: that is the delimiter */

        if (bytes[from] > size - from) {
            return 0u;
        }
        if (from++ != 0u) {
            bytes[to++] = 0u;
        }
        while (from < end) {
            bytes[to++] = bytes[from++];
        }
    }
    return to;
}

static void count_bad_frame(struct massager *device)
{
    if (device->now.bad_frames < UINT16_MAX) {
        device->now.bad_frames++;
    }
}

static void end_candidate(struct massager *device)
{
    uint8_t size = decode_in_place(device->candidate, device->candidate_size);

    device->candidate_size = 0u;
    massager_datagram(device, device->candidate, size);
}

void massager_receive(struct massager *device, uint8_t byte)
{
    if (byte == 0u) {
        if (device->candidate_size >= DROPPING) {
            device->candidate_size = 0u;
        } else if (device->candidate_size != 0u) {
            end_candidate(device);
        }
    } else if (device->candidate_size < MASSAGER_ENCODED_MAX_BYTES) {
        device->candidate[device->candidate_size++] = byte;
    } else if (device->candidate_size == MASSAGER_ENCODED_MAX_BYTES) {
        device->candidate_size = DROPPING;
        count_bad_frame(device);
    }
}

void massager_line_opened(struct massager *device)
{
    device->candidate_size = 0u;
}

void massager_datagram(struct massager *device, const uint8_t *data, uint16_t size)
{
    if (frame_is_good(data, size)) {
        judge(device, data, (uint8_t)(size - MASSAGER_CRC_BYTES));
    } else {
        count_bad_frame(device);
    }
}

void massager_put_stream(const uint8_t *frame, uint8_t size,
                         void (*put)(void *context, uint8_t byte), void *context)
{
    uint8_t from = 0u;

    put(context, 0u);
    /* The protected frame and one more 00, cut after each 00: a block is its length and its bytes. */
    while (from <= size) {
        uint8_t end = from;

        while (end < size && frame[end] != 0u) {
            end++;
        }
        put(context, (uint8_t)(end - from + 1));
        while (from < end) {
            put(context, frame[from++]);
        }
        from++;
    }
    put(context, 0u);
}
