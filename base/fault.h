/*
 * fault - what is wrong with a text, everything at once.
 *
 * A fault names its path, what is wrong with which bound, and the place in
 * the text where it has one. At most FAULTS_MAX are kept; the rest are
 * counted.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/buf.h"

#include <json-c/json.h>

#define FAULTS_MAX 200

struct doc_place {
	unsigned line;		/* from 1; 0: no place */
	unsigned column;
};

struct fault {
	char *path;
	char *message;
	struct doc_place place;
};

struct faults {
	struct fault *v;
	size_t n;
	size_t total;		/* also those that were not kept */
};

void faults_init(struct faults *);
void faults_fini(struct faults *);
void fault_add(struct faults *, struct doc_place, const char *path,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* In the order of their places; those without one stay in front. */
void faults_sort(struct faults *);
/* Forgets the places: for texts whose lines mean nothing to the reader. */
void faults_drop_places(struct faults *);
/* "path: message (line 12, column 14)", without a newline. */
void fault_print(const struct fault *, struct buf *);
/* All of them, a line each, each line begun with prefix. */
void faults_print(const struct faults *, const char *prefix, struct buf *);
/* [{"path","message","line","column"}]; the caller puts it. */
struct json_object *faults_json(const struct faults *);

#endif
