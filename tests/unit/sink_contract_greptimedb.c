/* links: sink_greptimedb worker base */
#include "sink_contract.h"

Test(contract, greptimedb)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"greptimedb\",\"config\":{\"s"
	    "erver\":\"127.0.0.1:1\",\"https\":true,\"database\""
	    ":\"d\",\"username\":\"u\",\"password\":\"p\",\"measurem"
	    "ent\":\"m\",\"tags\":{\"a\":\"b\"},\"fields\":{\"n\":\"${o"
	    "ffset}i\"},\"precision\":\"us\",\"unique\":false,\"g"
	    "zip\":true,\"timeout_ms\":1000,\"tls\":{\"enable\":"
	    "true,\"ca_file\":\"/nonexistent\",\"cert_file\":\"/"
	    "nonexistent\",\"key_file\":\"/nonexistent\",\"serv"
	    "er_name\":\"x.test\",\"verify\":false}}}",
	};

	contract_check_all(
	    definitions, sizeof(definitions) / sizeof(*definitions));
}
