/* supervisor - the root of the process tree; started by `bulkhead run`. */
#include "base/units.h"
#include "supervisor/boot.h"

#include <getopt.h>
#include <stdio.h>

static const struct option_text {
	struct option option;
	const char *text;
} options[] = {
    {{"config", required_argument, NULL, 'c'}, "FILE  the configuration"},
    {{"data", required_argument, NULL, 'd'}, "DIR  the data folder"},
    {{"listen", required_argument, NULL, 'l'}, "HOST  for all listeners"},
    {{"port-offset", required_argument, NULL, 'p'}, "N  shifts all ports"},
};

static int
usage(void)
{
	size_t i;

	fprintf(stderr, "usage: bulkhead run [options]\n");
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		fprintf(stderr, "  --%s %s\n", options[i].option.name,
		    options[i].text);
	return 2;
}

int
main(int argc, char **argv)
{
	struct option longs[sizeof(options) / sizeof(options[0]) + 1] = {0};
	struct boot_options boot = {0};
	int64_t offset = 0;
	int o;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		longs[i] = options[i].option;
	while ((o = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
		if (o == 'c')
			boot.config = optarg;
		else if (o == 'd')
			boot.data = optarg;
		else if (o == 'l')
			boot.listen = optarg;
		else if (o != 'p' || !int_parse(optarg, &offset) ||
		    offset < 0 || offset > 65535)
			return usage();
	}
	if (optind != argc)
		return usage();
	boot.port_offset = (unsigned)offset;
	return boot_run(&boot);
}
