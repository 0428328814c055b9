"""Files of the Hugging Face hub: client, download that resumes, cache."""
