/* links: sink_exec worker base */
#include "sink_contract.h"

Test(contract, exec)
{
	static const char *const definitions[] = {
	    "{\"name\":\"e\",\"type\":\"exec\",\"config\":{"
	    "\"command\":[\"/no/such/program\",\"a\"],\"env\":{\"A\":\"b\"},"
	    "\"settings\":{\"token\":\"t\"},\"timeout_ms\":1000}}",
	};

	contract_check_all(
	    definitions, sizeof(definitions) / sizeof(*definitions));
}
