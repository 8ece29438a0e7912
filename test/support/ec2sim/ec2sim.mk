# What the simulator is made of. Included by the Makefile, which has the rules.
EC2SIM_SRCS := $(addprefix test/support/ec2sim/, \
	answers.c ask.c auth.c blob.c canned.c describe.c faults.c filter.c \
	fleet.c fleet_groups.c main.c options.c pages.c problem.c regions.c \
	request.c rng.c server.c service.c stamp.c stats.c text.c tls.c token.c xml.c)
EC2SIM_PKGS := libmicrohttpd gnutls libcrypto jansson zlib
# Besides the packages' own.
EC2SIM_LIBS := -lpthread
