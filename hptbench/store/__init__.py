"""The frozen store: data sets, OpenML's splits and suites in a folder, fetched once, hashed, used offline."""
