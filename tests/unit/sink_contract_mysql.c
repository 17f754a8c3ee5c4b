/* links: sink_mysql worker base */
#include "sink_contract.h"

Test(contract, mysql)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"mysql\",\"config\":{\"host\":"
	    "\"127.0.0.1\",\"port\":1,\"database\":\"d\",\"usernam"
	    "e\":\"u\",\"password\":\"p\",\"table\":\"t\",\"columns\":"
	    "{\"a\":\"b\"},\"on_conflict\":\"update\",\"key_column"
	    "s\":[\"a\"],\"pool\":2,\"timeout_ms\":1000,\"tls\":{\""
	    "enable\":true,\"ca_file\":\"/nonexistent\",\"cert_"
	    "file\":\"/nonexistent\",\"key_file\":\"/nonexisten"
	    "t\",\"verify\":false}}}",
	    "{\"name\":\"w\",\"type\":\"mysql\",\"config\":{\"host\":"
	    "\"127.0.0.1\",\"port\":1,\"database\":\"d\",\"usernam"
	    "e\":\"u\",\"password\":\"p\",\"sql\":\"INSERT INTO t V"
	    "ALUES (${id})\"}}",
	};

	contract_check_all(definitions,
	    sizeof(definitions) / sizeof(*definitions));
}
