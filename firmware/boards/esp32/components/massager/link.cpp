#include "link.h"

#include <cstdio>
#include <cstring>

namespace esphome::foot_massager {

Topics topics_of(const char *device_id) {
  Topics topics{};
  snprintf(topics.down, sizeof(topics.down), "massager/%.8s/link/down", device_id);
  snprintf(topics.up, sizeof(topics.up), "massager/%.8s/link/up", device_id);
  return topics;
}

bool take(const Message &message, const Topics &topics, Frame *frame) {
  if (message.is_retained || message.offset != 0)
    return false;
  const size_t topic_length = strlen(topics.down);
  if (message.topic == nullptr || message.topic_length != topic_length ||
      memcmp(message.topic, topics.down, topic_length) != 0)
    return false;

  const size_t size = message.total_length <= FRAME_MAX ? message.data_length : FRAME_MAX + 1u;
  frame->size = static_cast<uint8_t>(size < FRAME_MAX + 1u ? size : FRAME_MAX + 1u);
  memset(frame->bytes, 0, sizeof(frame->bytes));
  if (message.data != nullptr) {
    const size_t held = message.data_length < frame->size ? message.data_length : frame->size;
    memcpy(frame->bytes, message.data, held);
  }
  return true;
}

}  // namespace esphome::foot_massager
