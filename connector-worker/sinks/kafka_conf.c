#include "connector-worker/sinks/kafka_conf.h"

#include <stdio.h>
#include <string.h>

#define TOPIC_MAX 249

/* What a delivery error means; all else is retried. */
static const struct {
	rd_kafka_resp_err_t error;
	enum sink_outcome outcome;
} errors[] = {
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, SINK_REFUSED},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, SINK_REFUSED},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, SINK_REFUSED},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, SINK_REFUSED},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, SINK_REFUSED},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, SINK_REFUSED},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, SINK_REFUSED},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__TRANSPORT, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__RESOLVE, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__SSL, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__FATAL, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, SINK_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, SINK_UNSURE},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, SINK_UNSURE},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, SINK_UNSURE},
};

enum sink_outcome
kafka_error_outcome(rd_kafka_resp_err_t error)
{
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
		return SINK_DELIVERED;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (errors[i].error == error)
			return errors[i].outcome;
	return SINK_RETRYABLE;
}

/* ---- configuration ------------------------------------------------------ */

/* Properties that are ours to set; the user's may not take them over. */
static const char *const reserved[] = {"bootstrap.servers", "linger.ms",
    "queue.buffering.max.ms", "batch.size", "sasl.mechanism",
    "delivery.report.only.error", "ssl.ca.location",
    "ssl.certificate.location", "ssl.key.location",
    "enable.ssl.certificate.verification", "log_level",
    "metadata.broker.list", "enable.idempotence", "acks",
    "request.required.acks", "compression.codec", "compression.type",
    "message.timeout.ms", "delivery.timeout.ms", "security.protocol",
    "sasl.username", "sasl.password", "sasl.mechanisms",
    /* These would run something. */
    "plugin.library.paths", "ssl.engine.location", "sasl.kerberos.kinit.cmd"};

rd_kafka_conf_t *
kafka_conf_make(const struct sink_options *o, char *text, size_t size,
    const char **option)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char number[24];
	struct {
		const char *option, *property, *value;
	} sets[] = {
	    {"bootstrap_servers", "bootstrap.servers",
		opt_string(o, "bootstrap_servers")},
	    {"compression", "compression.type",
		(const char *const[]){"none", "gzip", "snappy", "lz4",
		    "zstd"}[opt_choice(o, "compression")]},
	    {"acks", "acks",
		(const char *const[]){"0", "1", "all"}[opt_choice(o, "acks")]},
	    {"idempotence", "enable.idempotence",
		opt_bool(o, "idempotence") ? "true" : "false"},
	    {"security", "security.protocol",
		(const char *const[]){"plaintext", "ssl", "sasl_plaintext",
		    "sasl_ssl"}[opt_choice(o, "security")]},
	    {"tls.ca_file", "ssl.ca.location", opt_string(o, "tls.ca_file")},
	    {"tls.cert_file", "ssl.certificate.location",
		opt_string(o, "tls.cert_file")},
	    {"tls.key_file", "ssl.key.location", opt_string(o, "tls.key_file")},
	    {"tls.verify", "enable.ssl.certificate.verification",
		opt_bool(o, "tls.verify") ? "true" : "false"},
	    {"sasl.username", "sasl.username", opt_string(o, "sasl.username")},
	    {"sasl.password", "sasl.password", opt_string(o, "sasl.password")},
	    {"security", "client.id", "bulkhead"},
	    {"security", "log.connection.close", "false"},
	    /* What it has to say comes as events. */
	    {"security", "log_level", "2"},
	    /* Retries would overtake; idempotence keeps the order itself. */
	    {"idempotence", "max.in.flight",
		opt_bool(o, "idempotence") ? NULL : "1"},
	};
	struct {
		const char *option, *property;
	} numbers[] = {{"linger_ms", "linger.ms"}, {"batch_size", "batch.size"},
	    {"message_timeout_ms", "message.timeout.ms"}};

	for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
		*option = sets[i].option;
		if (sets[i].value != NULL &&
		    rd_kafka_conf_set(conf, sets[i].property, sets[i].value,
			text, size) != RD_KAFKA_CONF_OK)
			goto fail;
	}
	*option = "sasl.mechanism";
	if (opt_choice(o, "security") >= 2 &&
	    rd_kafka_conf_set(conf, "sasl.mechanism",
		(const char *const[]){"PLAIN", "SCRAM-SHA-256",
		    "SCRAM-SHA-512"}[opt_choice(o, "sasl.mechanism")],
		text, size) != RD_KAFKA_CONF_OK)
		goto fail;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		*option = numbers[i].option;
		snprintf(number, sizeof(number), "%lld",
		    (long long)opt_int(o, numbers[i].option));
		if (rd_kafka_conf_set(conf, numbers[i].property, number, text,
			size) != RD_KAFKA_CONF_OK)
			goto fail;
	}
	*option = "properties";
	for (size_t i = 0; i < opt_count(o, "properties"); i++)
		if (rd_kafka_conf_set(conf, opt_key(o, "properties", i),
			opt_value(o, "properties", i), text,
			size) != RD_KAFKA_CONF_OK)
			goto fail;
	return conf;
fail:
	rd_kafka_conf_destroy(conf);
	return NULL;
}

void
kafka_conf_validate(const struct sink_options *o, struct faults *faults)
{
	bool is_sasl = opt_choice(o, "security") >= 2;
	const char *option;
	rd_kafka_conf_t *conf;
	char text[256];

	if (is_sasl && !opt_is_set(o, "sasl.username"))
		sink_fault(o, faults, "sasl.username",
		    "is required by this security");
	if (is_sasl && !opt_is_set(o, "sasl.password"))
		sink_fault(o, faults, "sasl.password",
		    "is required by this security");
	if (!is_sasl && opt_is_set(o, "sasl.username"))
		sink_fault(o, faults, "sasl.username",
		    "has no effect without security: sasl_...");
	if (opt_bool(o, "idempotence") && opt_choice(o, "acks") != 2)
		sink_fault(o, faults, "acks",
		    "idempotence needs acks: all; or write idempotence: false");
	if (opt_is_set(o, "tls.cert_file") != opt_is_set(o, "tls.key_file"))
		sink_fault(o, faults, "tls.cert_file",
		    "tls.cert_file and tls.key_file go together");
	for (size_t i = 0; i < opt_count(o, "properties"); i++)
		for (size_t k = 0; k < sizeof(reserved) / sizeof(*reserved);
		     k++)
			if (strcmp(opt_key(o, "properties", i), reserved[k]) ==
			    0)
				sink_fault(o, faults, "properties",
				    "%s is not to be set here", reserved[k]);
	conf = kafka_conf_make(o, text, sizeof(text), &option);
	if (conf == NULL)
		sink_fault(o, faults, option, "%s", text);
	else
		rd_kafka_conf_destroy(conf);
}

bool
kafka_topic_is_valid(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.p[i] < '0' || s.p[i] > '9') &&
		    (s.p[i] < 'A' || s.p[i] > 'Z') &&
		    (s.p[i] < 'a' || s.p[i] > 'z') && s.p[i] != '.' &&
		    s.p[i] != '_' && s.p[i] != '-')
			return false;
	return s.len > 0 && s.len <= TOPIC_MAX && !slice_is(s, ".") &&
	    !slice_is(s, "..");
}
