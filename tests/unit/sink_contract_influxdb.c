/* links: sink_influxdb worker base */
#include "sink_contract.h"

Test(contract, influxdb)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"influxdb\",\"config\":{\"ser"
	    "ver\":\"https://127.0.0.1:1\",\"version\":\"v2\",\"t"
	    "oken\":\"t\",\"org\":\"o\",\"bucket\":\"b\",\"measuremen"
	    "t\":\"m\",\"tags\":{\"a\":\"b\"},\"fields\":{\"n\":\"${off"
	    "set}i\"},\"precision\":\"us\",\"unique\":false,\"gzi"
	    "p\":true,\"timeout_ms\":1000,\"tls\":{\"enable\":tr"
	    "ue,\"ca_file\":\"/nonexistent\",\"cert_file\":\"/no"
	    "nexistent\",\"key_file\":\"/nonexistent\",\"server"
	    "_name\":\"x.test\",\"verify\":false}}}",
	    "{\"name\":\"w\",\"type\":\"influxdb\",\"config\":{\"ser"
	    "ver\":\"http://127.0.0.1:1\",\"version\":\"v1\",\"da"
	    "tabase\":\"d\",\"username\":\"u\",\"password\":\"p\",\"m"
	    "easurement\":\"m\"}}",
	    "{\"name\":\"w\",\"type\":\"influxdb\",\"config\":{\"ser"
	    "ver\":\"http://127.0.0.1:1\",\"version\":\"v3\",\"da"
	    "tabase\":\"d\",\"token\":\"p\",\"measurement\":\"m\"}}",
	};

	contract_check_all(
	    definitions, sizeof(definitions) / sizeof(*definitions));
}
