# The paper; all else is in the justfile.
.PHONY: paper
paper:
	$(MAKE) -C paper
