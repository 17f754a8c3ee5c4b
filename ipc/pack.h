/*
 * pack - msgpack-c's encoder, made for a struct buf.
 *
 * msgpack-c's packer calls a function pointer for every byte run; its
 * template, which its own header is made of, lets the same code append to
 * our buffer in line.
 */
#ifndef IPC_PACK_H
#define IPC_PACK_H

#include "base/buf.h"

#include <msgpack/sysdep.h>
#include <msgpack/timestamp.h>
#include <limits.h>

#define msgpack_pack_inline_func(name) \
	static inline __attribute__((unused)) int pack##name
#define msgpack_pack_inline_func_cint(name) \
	static inline __attribute__((unused)) int pack##name
#define msgpack_pack_user struct buf *
#define msgpack_pack_append_buffer(b, bytes, n) \
	do {                                    \
		buf_add((b), (bytes), (n));     \
		return 0;                       \
	} while (0)
#define MSGPACK_ENDIAN_LITTLE_BYTE 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <msgpack/pack_template.h>
#pragma GCC diagnostic pop

#endif
