/* links: sink_cassandra worker base */
#include "sink_contract.h"

/* The files of tls are conn_tls's: a wrong one ends a sink before it sends. */
Test(contract, cassandra)
{
	contract_check("{\"name\":\"w\",\"type\":\"cassandra\",\"config\":{"
	    "\"nodes\":\"127.0.0.1\",\"port\":1,\"keyspace\":\"k\","
	    "\"table\":\"t\",\"columns\":{\"id\":\"${id}\"},"
	    "\"username\":\"u\",\"password\":\"p\","
	    "\"consistency\":\"ONE\",\"batch\":\"unlogged\","
	    "\"in_flight\":4,\"timeout_ms\":1000,\"tls\":{\"enable\":true,"
	    "\"server_name\":\"x.test\",\"verify\":false}}}");
}
