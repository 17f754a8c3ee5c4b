/* crc32c - CRC-32C (Castagnoli), as Kafka's record batches use it. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/slice.h"

uint32_t crc32c(struct slice s);

#endif
