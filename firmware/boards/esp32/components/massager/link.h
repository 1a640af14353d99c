/* Topics and messages of the broker (SPEC 2.18–2.20): which message is handed to the core, and how.
 * Plain C++ without ESP-IDF or ESPHome, so that it is tested on any computer. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "massager_core/massager.h"

namespace esphome::foot_massager {

constexpr uint8_t FRAME_MAX = MASSAGER_RAW_MAX_BYTES;

/* A protected frame, or the beginning of a message that is too long to be one. */
struct Frame {
  uint8_t size;                 /* bytes; FRAME_MAX + 1 stands for every longer message */
  uint8_t bytes[FRAME_MAX + 1];
};

/* "massager/<device id>/link/down" and ".../up", each with its terminating zero. */
struct Topics {
  char down[32];
  char up[32];
};

/* What the client says of a message, or of one part of a long one. */
struct Message {
  const char *topic;   /* not terminated; null in the later parts of a long message */
  size_t topic_length;
  const char *data;    /* this part; may be null where it is empty */
  size_t data_length;  /* of this part */
  size_t total_length; /* of the whole message */
  size_t offset;       /* of this part in it */
  bool is_retained;
};

/* `device_id` has 1…8 characters and ends with a zero or after the eighth. */
Topics topics_of(const char *device_id);

/* True where the core must judge the message, with `frame` filled. Everything of our topic goes to
 * the core, however wrong, since the core counts the bad ones (2.18); not what is retained (2.20),
 * of another topic, or the later part of a message whose first part has been judged already. */
bool take(const Message &message, const Topics &topics, Frame *frame);

}  // namespace esphome::foot_massager
