"""Speed, memory and error of the exact analyses, each compared with its floor and a naive peer in the same run."""
