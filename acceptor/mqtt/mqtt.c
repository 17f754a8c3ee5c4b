#include "acceptor/mqtt/mqtt.h"

#include "acceptor/mqtt/shared.h"
#include "base/json.h"
#include "base/metrics.h"

struct mqtt mqtt;

static uint32_t
limit(struct json_object *limits, const char *name, uint64_t def,
    uint64_t most)
{
	uint64_t v = json_get_u64(limits, name, def);

	return (uint32_t)(v < most ? v : most);
}

/* Bounds and defaults are those of base/options.def. */
void
mqtt_configure(struct json_object *config)
{
	struct json_object *o = json_member(config, "limits");
	struct limits *l = &mqtt.limits;
	bool is_first = l->max_packet_size == 0;

	l->max_packet_size = limit(o, "max_packet_size", 1 << 20, 15 << 20);
	l->max_queued_bytes = limit(o, "max_queued_bytes", 1 << 20, 1 << 30);
	l->max_connections = limit(o, "max_connections", 100000, 10000000);
	l->max_queued = limit(o, "max_queued", 10000, 10000000);
	l->max_inflight = (uint16_t)limit(o, "max_inflight", 1024,
	    UINT16_MAX);
	l->connect_timeout_s = (limit(o, "connect_timeout", 10000, 600000) +
	    999) / 1000;
	l->session_expiry_max_s = (uint32_t)(json_get_u64(o,
	    "session_expiry_max", UINT64_C(604800000)) / 1000);
	l->keep_alive_max_s = (uint16_t)(limit(o, "keep_alive_max", 0,
	    65535000) / 1000);
	l->max_subscriptions = limit(o, "max_subscriptions", 10000, 10000000);
	l->connect_rate = limit(o, "connect_rate", 0, 10000000);
	l->topic_aliases_sent = limit(o, "topic_aliases_sent", 16, 65535);
	mqtt.shared_strategy = (uint8_t)shared_strategy_parse(json_get_str(
	    json_member(config, "mqtt"), "shared_strategy", "round_robin"));
	/* A group must be whole in one process. */
	mqtt.has_shared = json_get_u64(config, "instances", 1) == 1;
	/* Clients have tables of this length: it stays as it was. */
	if (is_first)
		l->topic_alias_maximum = (uint16_t)limit(o,
		    "topic_alias_maximum", 32, UINT16_MAX);
}

#define METRIC_gauge(m, name, help) \
	metrics_gauge(m, "bulkhead_mqtt_" #name, help, \
	    (double)mqtt.stats.name, NULL);
#define METRIC_counter(m, name, help) \
	metrics_counter(m, "bulkhead_mqtt_" #name, help, mqtt.stats.name, NULL);

struct json_object *
mqtt_metrics(void)
{
	struct json_object *m = metrics_new();

#define STAT(name, type, help) METRIC_##type(m, name, help)
#include "acceptor/mqtt/stats.def"
#undef STAT
	metrics_gauge(m, "bulkhead_mqtt_subscriptions",
	    "subscriptions served by this process", (double)mqtt.subs.count,
	    NULL);
	return m;
}
