/*
 * privilege - the one place where a process gives up its rights.
 *
 * Architecture, section 1: one user per kind of process where started as
 * root, no_new_privs always.
 */
#ifndef BASE_PRIVILEGE_H
#define BASE_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Becomes uid and gid (uid 0, or not being root: stays who it is) with no
 * capability but, where asked, CAP_DAC_OVERRIDE; across_exec keeps that one
 * for the program executed next. Nothing can be gained again. NULL, or what
 * could not be done, with errno.
 */
const char *privilege_drop(
    uid_t uid, gid_t gid, bool dac_override, bool across_exec);

#endif
