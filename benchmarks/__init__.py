"""Speed, memory and error of the exact analyses, each against its floor and a naive peer in the same run."""
