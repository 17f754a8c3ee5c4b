/* links: sink_kinesis worker base */
#include "sink_contract.h"

Test(contract, kinesis)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"kinesis\",\"config\":{\"stre"
	    "am\":\"s\",\"region\":\"r\",\"access_key_id\":\"a\",\"se"
	    "cret_access_key\":\"s\",\"session_token\":\"t\",\"en"
	    "dpoint\":\"https://127.0.0.1:1\",\"partition_key"
	    "\":\"k\",\"data\":\"d\",\"aggregate\":true,\"timeout_m"
	    "s\":1000,\"tls\":{\"enable\":true,\"ca_file\":\"/non"
	    "existent\",\"cert_file\":\"/nonexistent\",\"key_fi"
	    "le\":\"/nonexistent\",\"server_name\":\"x.test\",\"v"
	    "erify\":false}}}",
	};

	contract_check_all(definitions,
	    sizeof(definitions) / sizeof(*definitions));
}
