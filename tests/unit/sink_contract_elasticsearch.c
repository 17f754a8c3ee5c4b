/* links: sink_elasticsearch worker base */
#include "sink_contract.h"

Test(contract, elasticsearch)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"elasticsearch\",\"config\":"
	    "{\"url\":\"https://127.0.0.1:1\",\"index\":\"i\",\"do"
	    "cument\":\"{}\",\"op\":\"index\",\"pipeline\":\"p\",\"au"
	    "th\":\"basic\",\"username\":\"u\",\"password\":\"p\",\"g"
	    "zip\":true,\"timeout_ms\":1000,\"tls\":{\"enable\":"
	    "true,\"ca_file\":\"/nonexistent\",\"cert_file\":\"/"
	    "nonexistent\",\"key_file\":\"/nonexistent\",\"serv"
	    "er_name\":\"x.test\",\"verify\":false}}}",
	    "{\"name\":\"w\",\"type\":\"elasticsearch\",\"config\":"
	    "{\"url\":\"http://127.0.0.1:1\",\"index\":\"i\",\"dat"
	    "a_stream\":true,\"auth\":\"api_key\",\"api_key\":\"k"
	    "\"}}",
	};

	contract_check_all(definitions,
	    sizeof(definitions) / sizeof(*definitions));
}
