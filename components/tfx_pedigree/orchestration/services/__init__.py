"""The services that run pipelines: what is told to Kubeflow Pipelines and to Vertex AI, and how.

In: a compiled pipeline, the section `target:`, and what the service has now. Out: runs, schedules, and sentences about
them. Never: keeps a state of its own (what a schedule is made of stands in the service's own objects), holds a
credential, or loads TensorFlow. kfp and google-cloud-aiplatform are imported only when a service is spoken to.

- `plan`: pure. Which steps lead from the schedules that are there to the one that is wanted, and why in that order.
- `cron`, `settings`: the section `target.schedule`, checked before anybody is asked.
- `service`: what a service can do, and the loop that looks, plans, and takes one step at a time.
- `kubeflow`, `vertex`: the two services, each with the errors that its client raises.
"""
