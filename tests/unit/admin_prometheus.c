/* links: admin_pure base */
#include "admin-server/prometheus.h"
#include "base/json.h"
#include "base/metrics.h"

#include <criterion/criterion.h>

Test(prometheus, samples_of_one_name_stand_together)
{
	struct prometheus *p = prometheus_new();
	struct json_object *a = metrics_new(), *b = metrics_new();
	struct buf out;

	metrics_counter(a, "bulkhead_x_total", "X.\n\\", UINT64_MAX, "s",
	    "q\"\\\n", NULL);
	metrics_gauge(a, "bulkhead_y", "Y.", 0.5, NULL);
	metrics_counter(b, "bulkhead_x_total", "X.", 3, "process", "other", NULL);
	prometheus_add(p, "router", a);
	prometheus_add(p, "mqtt", b);
	json_object_put(a);
	json_object_put(b);
	buf_init(&out);
	prometheus_print(p, &out);
	cr_assert_str_eq(buf_cstr(&out),
	    "# HELP bulkhead_x_total X.\\n\\\\\n"
	    "# TYPE bulkhead_x_total counter\n"
	    "bulkhead_x_total{process=\"router\",s=\"q\\\"\\\\\\n\"} "
	    "18446744073709551615\n"
	    "bulkhead_x_total{process=\"other\"} 3\n"
	    "# HELP bulkhead_y Y.\n"
	    "# TYPE bulkhead_y gauge\n"
	    "bulkhead_y{process=\"router\"} 0.5\n");
	buf_fini(&out);
	prometheus_free(p);
}

Test(prometheus, what_is_malformed_is_left_out)
{
	static const char *const texts[] = {"7", "{}", "{\"metrics\":3}",
	    "{\"metrics\":[3,{},{\"name\":\"a b\",\"value\":1},"
	    "{\"name\":\"a\"},{\"name\":\"a\",\"value\":\"x\"},"
	    "{\"name\":\"a\",\"value\":[1]}]}"};
	struct prometheus *p = prometheus_new();
	struct buf out;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_object *o = json_parse(slice_str(texts[i]));

		prometheus_add(p, "x", o);
		json_object_put(o);
	}
	prometheus_add(p, "x", NULL);
	buf_init(&out);
	prometheus_print(p, &out);
	cr_assert_eq(buf_len(&out), 0);
	buf_fini(&out);
	prometheus_free(p);
}
