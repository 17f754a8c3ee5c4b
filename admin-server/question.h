/*
 * question - requests to other processes, several at once, and the answers.
 *
 * A set of questions is asked through the supervisor, which hands those
 * with another target on. done is called once, when every answer is there
 * or has timed out (status 504); it may be called from within ask, when the
 * set is empty. The set is freed after done; cancel frees it before.
 */
#ifndef ADMIN_SERVER_QUESTION_H
#define ADMIN_SERVER_QUESTION_H

#include "base/slice.h"

#include <json-c/json.h>

#define QUESTION_S 30.		/* an ordinary one */
#define QUESTION_LONG_S 600.	/* recounts a log, stops a tree */

struct questions;

typedef void questions_done(struct questions *q, void *arg);

struct questions *questions_new(double seconds, questions_done *done,
    void *arg);
/* args is a loan (NULL: none); about names the answer for the asker. */
void questions_add(struct questions *q, const char *about, const char *target,
    const char *op, struct json_object *args);
void questions_ask(struct questions *q);
void questions_cancel(struct questions *q);

size_t questions_count(const struct questions *q);
const char *questions_about(const struct questions *q, size_t i);
unsigned questions_status(const struct questions *q, size_t i);
/* A loan; NULL when there is none. */
struct json_object *questions_body(const struct questions *q, size_t i);

/* The supervisor's answer to one of them. */
void questions_on_reply(uint64_t id, uint16_t status, struct slice body);

#endif
