"""Methods of hptbench within other people's tools."""
