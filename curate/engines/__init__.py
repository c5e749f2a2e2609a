"""Where the tasks of a pass run: processes of this machine, a Ray cluster, a Slurm cluster. All through datatrove."""
