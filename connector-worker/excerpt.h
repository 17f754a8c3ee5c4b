/*
 * excerpt - what a target said, made fit for a status line.
 */
#ifndef CONNECTOR_WORKER_EXCERPT_H
#define CONNECTOR_WORKER_EXCERPT_H

#include "base/buf.h"

/*
 * Adds the beginning of a text: at most max bytes of printable UTF-8 on one
 * line, without space around it; whatever else is there becomes '.'.
 */
void excerpt_add(struct buf *, struct slice text, size_t max);

#endif
