/* tls_private - what the files of TLS share. */
#ifndef ACCEPTOR_TLS_PRIVATE_H
#define ACCEPTOR_TLS_PRIVATE_H

#include "acceptor/tls.h"

#include <openssl/ssl.h>

#define TICKET_KEYS 3

/* As it stands in the options, in hexadecimal. */
struct ticket_key {
	uint8_t name[16];
	uint8_t mac[32];
	uint8_t cipher[32];
};

struct tls_context {
	SSL_CTX *ctx;
	unsigned references;	/* its listener and its connections */
	char *psk;
	struct ticket_key tickets[TICKET_KEYS];
	size_t ticket_count;
	uint8_t alpn[32];	/* with its length in front */
	unsigned alpn_len;
};

#endif
