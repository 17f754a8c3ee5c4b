/* data - who owns what in the data folder, when started as root. */
#ifndef SUPERVISOR_DATA_H
#define SUPERVISOR_DATA_H

#define UID_ROUTER 61701
#define UID_ACCEPTOR 61702
#define UID_WORKER 61703
#define UID_ADMIN 61704
#define UID_AUTH 61705

#endif
