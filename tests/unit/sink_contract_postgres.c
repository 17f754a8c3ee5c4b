/* links: sink_postgres worker base */
#include "sink_contract.h"

#define SERVER                                                                 \
	"\"host\":\"127.0.0.1\",\"port\":1,\"database\":\"d\","                \
	"\"username\":\"u\",\"password\":\"p\""

Test(contract, postgres)
{
	static const char *const definitions[] = {
	    "{\"name\":\"p\",\"type\":\"postgres\",\"config\":{" SERVER ","
	    "\"table\":\"t\",\"columns\":{\"id\":\"${id}\"},"
	    "\"on_conflict\":\"update\",\"key_columns\":[\"id\"],"
	    "\"pool\":2,\"use_copy\":true,\"timeout_ms\":1000,"
	    "\"sslmode\":\"require\",\"tls\":{\"enable\":true,"
	    "\"ca_file\":\"/nonexistent\",\"cert_file\":\"/nonexistent\","
	    "\"key_file\":\"/nonexistent\",\"server_name\":\"x.test\","
	    "\"verify\":false}}}",
	    "{\"name\":\"p\",\"type\":\"postgres\",\"config\":{" SERVER ","
	    "\"sql\":\"insert into t values (${id})\"}}",
	    "{\"name\":\"p\",\"type\":\"postgres\",\"config\":{" SERVER ","
	    "\"table\":\"t\",\"key_columns\":[\"id\"],"
	    "\"tls\":{\"enable\":true}}}",
	};

	contract_check_all(
	    definitions, sizeof(definitions) / sizeof(*definitions));
}
