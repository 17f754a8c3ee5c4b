/* links: sink_clickhouse worker base */
#include "sink_contract.h"

Test(contract, clickhouse)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"clickhouse\",\"config\":{\"u"
	    "rl\":\"https://127.0.0.1:1\",\"database\":\"d\",\"ta"
	    "ble\":\"t\",\"username\":\"u\",\"password\":\"p\",\"colu"
	    "mns\":{\"a\":\"b\"},\"format\":\"JSONEachRow\",\"async"
	    "_insert\":true,\"compression\":\"gzip\",\"timeout_"
	    "ms\":1000,\"tls\":{\"enable\":true,\"ca_file\":\"/no"
	    "nexistent\",\"cert_file\":\"/nonexistent\",\"key_f"
	    "ile\":\"/nonexistent\",\"server_name\":\"x.test\",\""
	    "verify\":false}}}",
	};

	contract_check_all(definitions,
	    sizeof(definitions) / sizeof(*definitions));
}
