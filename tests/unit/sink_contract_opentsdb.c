/* links: sink_opentsdb worker base */
#include "sink_contract.h"

Test(contract, opentsdb)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"opentsdb\",\"config\":{\"ser"
	    "ver\":\"https://127.0.0.1:1\",\"metric\":\"m\",\"val"
	    "ue\":\"1\",\"tags\":{\"a\":\"b\"},\"timestamp\":\"1\",\"de"
	    "tails\":false,\"username\":\"u\",\"password\":\"p\",\""
	    "gzip\":true,\"timeout_ms\":1000,\"tls\":{\"enable\""
	    ":true,\"ca_file\":\"/nonexistent\",\"cert_file\":\""
	    "/nonexistent\",\"key_file\":\"/nonexistent\",\"ser"
	    "ver_name\":\"x.test\",\"verify\":false}}}",
	};

	contract_check_all(
	    definitions, sizeof(definitions) / sizeof(*definitions));
}
