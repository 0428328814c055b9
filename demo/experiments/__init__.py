"""Small trainings on the demo model that answer questions: what is trained, what came out, and what it says."""
