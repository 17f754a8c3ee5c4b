/* links: sink_webhook worker base */
#include "sink_contract.h"

Test(contract, webhook)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"webhook\",\"config\":{"
	    "\"url\":\"https://127.0.0.1:1/${topic}\",\"method\":\"put\","
	    "\"headers\":{\"a\":\"b\",\"c\":\"${topic}\"},"
	    "\"body\":\"[${payload}]\",\"content_type\":\"text/json\","
	    "\"batch_mode\":\"array\",\"gzip\":true,\"timeout_ms\":1000,"
	    "\"auth_type\":\"basic\",\"username\":\"u\",\"password\":\"p\","
	    "\"connections\":3,\"http2\":false,\"tls\":{\"enable\":true,"
	    "\"ca_file\":\"/nonexistent\",\"cert_file\":\"/nonexistent\","
	    "\"key_file\":\"/nonexistent\",\"server_name\":\"x.test\","
	    "\"verify\":false}}}",
	    "{\"name\":\"w\",\"type\":\"webhook\",\"config\":{"
	    "\"url\":\"http://127.0.0.1:1/\",\"auth_type\":\"bearer\","
	    "\"bearer_token\":\"t\"}}",
	    "{\"name\":\"w\",\"type\":\"webhook\",\"config\":{"
	    "\"url\":\"http://127.0.0.1:1/\",\"auth_type\":\"hmac\","
	    "\"hmac_secret\":\"t\"}}",
	};

	contract_check_all(
	    definitions, sizeof(definitions) / sizeof(*definitions));
}
